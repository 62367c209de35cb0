// One model: its variants, how they do, and what an operator may change.

import type { ComponentChildren, VNode } from "preact";
import { useState } from "preact/hooks";
import { Badge, Form, hue, seconds, Trouble, useHere, useWork } from "../parts.tsx";
import type { Figures, FleetModel, Variant } from "../shapes.ts";

interface Props {
  name: string;
  model: FleetModel;
  index: number;
  figures: Record<string, Figures>;
}

const FIGURES = ["traffic", "replicas", "in flight", "waiting", "requests", "tokens/s", "p50", "p95"] as const;

type Shares = Record<string, number>;

export function ModelCard({ name, model, index, figures }: Props): VNode {
  const variants = Object.entries(model.variants);
  const steps = Object.entries(model.steps);
  return (
    <section class="card model" aria-label={`model ${name}`} data-state={model.state}>
      <header class="row">
        <span class="swatch" style={hue(index)} />
        <h3>{name}</h3>
        <Badge state={model.state} />
        <small>
          {model.task}
          {model.aliases.length ? ` · also ${model.aliases.join(", ")}` : ""}
        </small>
      </header>
      {model.message && model.state !== "ready" && <p class="why">{model.message}</p>}
      {steps.length > 0 && <p class="hint">Made of {steps.map(([label, of]) => `${label}: ${of}`).join(", ")}.</p>}
      {variants.length > 0 && (
        <div class="scroll" tabindex={0} role="region" aria-label={`variants of ${name}`}>
          <table class="variants" role="table">
            <thead role="rowgroup">
              <tr role="row">
                {["variant", "state", ...FIGURES].map((one) => (
                  <th scope="col" role="columnheader">
                    {one}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody role="rowgroup">
              {variants.map(([label, variant]) => (
                <Row label={label} variant={variant} figures={figures[label]} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {variants.map(([label, { message, state }]) => message && state !== "ready" && message !== model.message && <p class="why">{`${label}: ${message}`}</p>)}
      {model.traffic?.why && <p class="why">{model.traffic.why}</p>}
      <Care name={name} model={model} />
    </section>
  );
}

/** Colours are the models'; variants are told apart by how strong one is. */
const strength = (index: number): { "--strength": string } => ({ "--strength": `${Math.round(100 * 0.45 ** index)}%` });

function Row({ label, variant, figures }: { label: string; variant: Variant; figures: Figures | undefined }): VNode {
  const sum = (of: "ongoing" | "queued"): number => variant.replicas.reduce((all, one) => all + one[of], 0);
  const time = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : seconds(value));
  const loading = variant.state === "loading";
  const cells: Record<(typeof FIGURES)[number], ComponentChildren> = {
    traffic: `${variant.weight} %`,
    replicas: `${variant.replicas.length}${variant.pending ? ` + ${variant.pending}` : ""}`,
    "in flight": sum("ongoing"),
    waiting: sum("queued"),
    requests: (
      <>
        {figures ? figures.requests : "–"}
        {figures?.failed ? <small class="bad">{figures.failed} failed</small> : null}
      </>
    ),
    "tokens/s": figures?.requests ? figures.tokens_per_s.toFixed(1) : "–",
    p50: time(figures?.p50_s),
    p95: time(figures?.p95_s),
  };
  // Roles are said: on narrow screens style.css lays a row out as a list, which would take them away.
  return (
    <tr role="row">
      <th scope="row" role="rowheader">
        {label}
        <small>{variant.engine}</small>
        {variant.slot && <small>takes turns in {variant.slot}</small>}
      </th>
      <td role="cell">
        <Badge state={variant.state}>{loading && variant.progress !== null ? ` ${Math.round(variant.progress * 100)} %` : ""}</Badge>
        {loading && variant.progress !== null && <progress max={1} value={variant.progress} aria-label={`${label} loads`} />}
        {loading && variant.stage && <small>{variant.stage}</small>}
        {variant.circuit !== "closed" && <small>circuit {variant.circuit}</small>}
      </td>
      {FIGURES.map((name) => (
        <td role="cell" data-name={name}>
          {cells[name]}
        </td>
      ))}
    </tr>
  );
}

function Care({ name, model }: { name: string; model: FleetModel }): VNode | null {
  const { door, operator } = useHere();
  const { busy, trouble, run } = useWork();
  const [said, setSaid] = useState("");
  const [draft, setDraft] = useState<Shares | null>(null);
  const variants = Object.entries(model.variants);
  const now: Shares = Object.fromEntries(variants.map(([label, one]) => [label, one.weight]));
  const shares = draft ?? now;
  const total = Object.values(shares).reduce((sum, one) => sum + one, 0);
  const several = variants.length > 1;
  const leaves = variants.some(([, one]) => one.may_be_cold);
  if (!operator || (!several && !leaves)) return null;

  const act = (what: string, body: object, done: string): Promise<void> =>
    run(async (signal) => {
      setSaid("");
      await door.ask(`/v1/models/${encodeURIComponent(name)}/${what}`, { body, signal });
      setDraft(null);
      setSaid(done);
    });
  const split = (to: Shares, done: string): Promise<void> => act("traffic", { shares: to }, done);
  const before = model.traffic?.before;
  return (
    <div class="care">
      {several && (
        <Form class="row" ask={() => split(shares, "The traffic is split.")}>
          <span class="split" aria-hidden="true">
            {variants.map(([label], at) => (
              <span style={{ flexGrow: Math.max(0, shares[label] ?? 0), ...strength(at) }} />
            ))}
          </span>
          {variants.map(([label], at) => (
            <label>
              <span class="swatch variant" style={strength(at)} />
              {label}
              <input
                type="number"
                min={0}
                max={100}
                value={shares[label] ?? 0}
                onInput={(event) => setDraft({ ...shares, [label]: Number(event.currentTarget.value) })}
              />
              %
            </label>
          ))}
          <button type="submit" disabled={busy || !draft || total !== 100}>
            Split so
          </button>
          {total !== 100 && <small class="bad">that makes {total} in all</small>}
        </Form>
      )}
      <div class="row">
        {several &&
          variants
            .filter(([label]) => now[label] !== 100)
            .map(([label]) => (
              <button type="button" disabled={busy} onClick={() => void split({ [label]: 100 }, `${label} has all the traffic.`)}>
                Promote {label}
              </button>
            ))}
        {several && before && (
          <button type="button" disabled={busy} onClick={() => void split(before, "The traffic is as it was.")}>
            Roll back to {Object.entries(before).filter(([, share]) => share).map(([label, share]) => `${label} ${share} %`).join(", ")}
          </button>
        )}
        {leaves && model.state !== "ready" && (
          <button type="button" disabled={busy || model.state === "loading"} onClick={() => void act("load", {}, "It loads.")}>
            Load
          </button>
        )}
        {leaves && model.state === "ready" && (
          <button type="button" disabled={busy} onClick={() => void act("unload", {}, "It goes as soon as nothing runs.")}>
            Unload
          </button>
        )}
        <span role="status">{said}</span>
      </div>
      {trouble && <Trouble text={trouble} />}
    </div>
  );
}
