import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { AsCode, Field, Form, Screen, seconds, Trouble, useHere, useModel, useWork, Waiting } from "../parts.tsx";

const EXAMPLE =
  "Plants make sugar from light, water and air.\nThe capital of France is Paris.\nRoots take water from the soil.\nA ship carries containers across the sea.";

interface Ranked {
  results: { document: string; score: number }[];
  told: string;
}

export function Rerank(): VNode {
  const { door } = useHere();
  const [model, choice] = useModel("rerank");
  const [query, setQuery] = useState("How do plants make their food?");
  const [text, setText] = useState(EXAMPLE);
  const [ranked, setRanked] = useState<Ranked | null>(null);
  const { busy, trouble, run, stop } = useWork();
  const documents = text.split("\n").filter((line) => line.trim());
  const body = { model: model?.id ?? "", query, documents };

  const rank = (): Promise<void> =>
    run(async (signal) => {
      const began = performance.now();
      const answer = await door.json<{ results: { index: number; relevance_score: number }[] }>("/v1/rerank", { body, signal });
      const results = answer.results.map((one) => ({ document: documents[one.index] ?? "", score: one.relevance_score }));
      setRanked({ results, told: seconds((performance.now() - began) / 1000) });
    });

  const best = Math.max(...(ranked?.results.map((one) => Math.abs(one.score)) ?? []), Number.EPSILON);
  return (
    <Screen title="Rerank" about="Which of these documents answers the query? The best comes first.">
      <div class="columns">
        <Form class="card" ask={rank}>
          <Field label="Query">
            {(id) => <input id={id} value={query} onInput={(event) => setQuery(event.currentTarget.value)} />}
          </Field>
          <Field label="Documents, a line each">
            {(id) => <textarea id={id} rows={6} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
          </Field>
          <button type="submit" class="primary" disabled={busy || !model || !query.trim() || !documents.length}>
            Rank
          </button>
          <Waiting on={busy} stop={stop}>
            ranking …
          </Waiting>
          {trouble && <Trouble text={trouble} />}
          {ranked && (
            <div class="result">
              <ol class="bars" aria-label="The documents, best first">
                {ranked.results.map((one) => (
                  <li>
                    <span>{one.document}</span>
                    <span class="track" aria-hidden="true">
                      <span class="fill" style={{ width: `${Math.max(0, (one.score / Math.max(best, 1)) * 100)}%` }} />
                    </span>
                    <strong>{one.score.toFixed(3)}</strong>
                  </li>
                ))}
              </ol>
              <small class="told">{ranked.told}</small>
            </div>
          )}
        </Form>
        <div class="card settings">
          {choice}
          <AsCode call={{ path: "/rerank", json: body }} />
        </div>
      </div>
    </Screen>
  );
}
