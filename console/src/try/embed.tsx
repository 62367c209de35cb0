import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { AsCode, Field, Form, Screen, seconds, Trouble, useHere, useModel, useWork, Waiting } from "../parts.tsx";

const EXAMPLE = "A cat sits on the mat.\nA kitten rests on a rug.\nThe bank raised its interest rates.\nMoney costs more at the bank now.\nIt rains in Bergen.";

interface Map {
  lines: string[];
  alike: number[][];
  told: string;
}

export function Embed(): VNode {
  const { door } = useHere();
  const [model, choice] = useModel("embed");
  const [text, setText] = useState(EXAMPLE);
  const [map, setMap] = useState<Map | null>(null);
  const { busy, trouble, run, stop } = useWork();
  const lines = text.split("\n").filter((line) => line.trim());
  const body = { model: model?.id ?? "", input: lines, encoding_format: "float" };

  const embed = (): Promise<void> =>
    run(async (signal) => {
      const began = performance.now();
      const answer = await door.json<{ data: { embedding: number[] }[]; usage: { prompt_tokens: number } }>("/v1/embeddings", { body, signal });
      const vectors = answer.data.map((one) => one.embedding);
      const told = `${vectors[0]?.length ?? 0} dimensions · ${answer.usage.prompt_tokens} tokens · ${seconds((performance.now() - began) / 1000)}`;
      setMap({ lines, alike: vectors.map((one) => vectors.map((other) => cosine(one, other))), told });
    });

  return (
    <Screen title="Embed" about="Lines become vectors; the map shows how alike they are (cosine).">
      <div class="columns">
        <Form class="card" ask={embed}>
          <Field label="Lines">
            {(id) => <textarea id={id} rows={6} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
          </Field>
          <button type="submit" class="primary" disabled={busy || !model || !lines.length}>
            Compare
          </button>
          <Waiting on={busy} stop={stop}>
            embedding …
          </Waiting>
          {trouble && <Trouble text={trouble} />}
          {map && <Heat map={map} />}
        </Form>
        <div class="card settings">
          {choice}
          <AsCode call={{ path: "/embeddings", json: body }} />
        </div>
      </div>
    </Screen>
  );
}

export function cosine(one: number[], other: number[]): number {
  const dot = (a: number[], b: number[]): number => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
  return dot(one, other) / (Math.sqrt(dot(one, one) * dot(other, other)) || 1);
}

function Heat({ map }: { map: Map }): VNode {
  return (
    <div class="result">
      <div class="scroll" tabindex={0} role="region" aria-label="How alike the lines are">
        <table class="heat">
          <thead>
            <tr>
              <td />
              {map.lines.map((line, index) => (
                <th scope="col" title={line}>
                  {index + 1}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {map.alike.map((row, index) => (
              <tr>
                <th scope="row">
                  {index + 1}. {map.lines[index]}
                </th>
                {row.map((value) => (
                  <td style={{ "--heat": `${Math.round(Math.max(0, value) * 100)}%` }}>{value.toFixed(2)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <small class="told">{map.told}</small>
    </div>
  );
}
