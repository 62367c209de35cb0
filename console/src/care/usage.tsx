import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Field, Screen, Trouble, useHere, useWork } from "../parts.tsx";
import type { UsageRow } from "../shapes.ts";

const BY = { model: "Model", key: "Key", hour: "Hour" } as const;
type By = keyof typeof BY;
const SPANS = { "24 hours": 24, "7 days": 168, "30 days": 720 } as const;
type Span = keyof typeof SPANS;

const COLUMNS = {
  requests: "requests",
  errors: "errors",
  prompt_tokens: "tokens in",
  completion_tokens: "tokens out",
  audio_seconds: "seconds heard",
  characters: "characters spoken",
  gpu_seconds: "GPU-seconds",
} as const;
type Column = keyof typeof COLUMNS;

interface Found {
  by: By;
  rows: UsageRow[];
  more: boolean;
}

export function Usage({ shown }: { shown: boolean }): VNode {
  const { door } = useHere();
  const [by, setBy] = useState<By>("model");
  const [span, setSpan] = useState<Span>("24 hours");
  const [bar, setBar] = useState<Column>("requests");
  const [found, setFound] = useState<Found | null>(null);
  const { busy, trouble, run } = useWork();

  const look = (): Promise<void> =>
    run(async (signal) => {
      const since = new Date(Date.now() - SPANS[span] * 3_600_000).toISOString();
      const answer = await door.json<{ data: UsageRow[]; has_more: boolean }>(`/v1/usage?by=${by}&since=${since}&limit=1000`, { signal });
      setFound({ by, rows: answer.data, more: answer.has_more });
    });
  useEffect(() => {
    if (shown) void look();
  }, [shown, by, span, door]);

  return (
    <Screen title="Usage" about="What was asked of the models, and what it took. A key sees its own; an observer's sees all.">
      <div class="card">
        <div class="row end">
          <Choice label="By" options={Object.keys(BY) as By[]} value={by} name={(one) => BY[one]} choose={setBy} />
          <Choice label="Of the last" options={Object.keys(SPANS) as Span[]} value={span} name={(one) => one} choose={setSpan} />
          <Choice label="Bars show" options={Object.keys(COLUMNS) as Column[]} value={bar} name={(one) => COLUMNS[one]} choose={setBar} />
          <button type="button" disabled={busy} onClick={() => void look()}>
            Look again
          </button>
        </div>
        {trouble && <Trouble text={trouble} />}
        {found && !trouble && <Table found={found} bar={bar} />}
      </div>
    </Screen>
  );
}

function Choice<T extends string>({ label, options, value, name, choose }: { label: string; options: T[]; value: T; name: (one: T) => string; choose: (one: T) => void }): VNode {
  return (
    <Field label={label}>
      {(id) => (
        <select id={id} value={value} onChange={(event) => choose(event.currentTarget.value as T)}>
          {options.map((one) => (
            <option value={one}>{name(one)}</option>
          ))}
        </select>
      )}
    </Field>
  );
}

function Table({ found, bar }: { found: Found; bar: Column }): VNode {
  const { by, rows } = found;
  if (!rows.length) return <p class="empty">Nothing was asked in that time.</p>;
  const sorted = [...rows].sort((one, other) => (by === "hour" ? (one.hour ?? "").localeCompare(other.hour ?? "") : other[bar] - one[bar]));
  const most = Math.max(...rows.map((one) => one[bar]), Number.EPSILON);
  const columns = Object.keys(COLUMNS) as Column[];
  return (
    <div class="scroll" tabindex={0} role="region" aria-label="What was used">
      <table class="figures">
        <thead>
          <tr>
            <th scope="col">{BY[by]}</th>
            <th scope="col">{COLUMNS[bar]}</th>
            {columns.map((one) => (
              <th scope="col">{COLUMNS[one]}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr>
              <th scope="row">{named(row, by)}</th>
              <td class="bar">
                <span class="track">
                  <span class="fill" style={{ width: `${(row[bar] / most) * 100}%` }} />
                </span>
              </td>
              {columns.map((one) => (
                <td>{row[one].toLocaleString("en", { maximumFractionDigits: 1 })}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {found.more && <small>There are more rows than are shown: `motley usage` has all.</small>}
    </div>
  );
}

function named(row: UsageRow, by: By): string {
  if (by === "hour") return (row.hour ?? "").replace("T", " ").replace(/:00Z$/, " UTC");
  return row[by] || "(no key)";
}
