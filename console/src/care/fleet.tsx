import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { useFleet } from "../live.ts";
import { Screen, Trouble, useHere } from "../parts.tsx";
import type { FleetModel, Fleet as Told } from "../shapes.ts";
import { ModelCard } from "./model.tsx";
import { Nodes } from "./nodes.tsx";

const FEW = 8; // models that one looks through by eye

export function Fleet({ shown }: { shown: boolean }): VNode {
  const { door } = useHere();
  const { fleet, trouble } = useFleet(door, shown);
  const [sought, setSought] = useState("");
  return (
    <Screen title="Fleet" about="What runs where, as it changes.">
      {trouble && <Trouble text={trouble} />}
      {!fleet && !trouble && <p class="waiting">looking …</p>}
      {fleet && (
        <>
          <Summary fleet={fleet} />
          <Nodes fleet={fleet} />
          {fleet.gpus.length > 0 && <p class="hint">Each colour is a model's share of the GPU; what it has taken of it is full, the rest pale.</p>}
          <div class="row between">
            <h2>Models</h2>
            {Object.keys(fleet.models).length > FEW && (
              <input class="sift" aria-label="Show models that have" placeholder="a name, a task or a state" value={sought} onInput={(event) => setSought(event.currentTarget.value)} />
            )}
          </div>
          <div class="models">
            {Object.entries(fleet.models).map(
              ([name, model], index) =>
                has(name, model, sought) && <ModelCard key={name} name={name} model={model} index={index} figures={fleet.figures?.of[name] ?? {}} />,
            )}
          </div>
          <p class="hint">
            {fleet.figures
              ? `p50, p95 and requests are of the last ${fleet.figures.seconds} s, tokens/s of the last few; requests count when they end.`
              : "Figures follow in a few seconds: they are of the time in which somebody looks."}
          </p>
        </>
      )}
    </Screen>
  );
}

/** Each word of `sought` in what one sees of the model first. */
function has(name: string, model: FleetModel, sought: string): boolean {
  const told = [name, model.task, model.state, ...model.aliases].join(" ").toLowerCase();
  return sought.toLowerCase().split(/\s+/).every((word) => told.includes(word));
}

function Summary({ fleet }: { fleet: Told }): VNode {
  const models = Object.values(fleet.models);
  const replicas = models.flatMap((model) => Object.values(model.variants)).flatMap((variant) => variant.replicas);
  const sum = (of: "ongoing" | "queued"): number => replicas.reduce((all, one) => all + one[of], 0);
  const rate = Object.values(fleet.figures?.of ?? {})
    .flatMap((variants) => Object.values(variants))
    .reduce((all, one) => all + one.tokens_per_s, 0);
  const shown: [string, string][] = [
    ["models ready", `${models.filter((one) => one.state === "ready").length} of ${models.length}`],
    ["replicas", String(replicas.length)],
    ["in flight", String(sum("ongoing"))],
    ["waiting", String(sum("queued"))],
    ["tokens/s", fleet.figures ? rate.toFixed(1) : "–"],
  ];
  return (
    <dl class="summary">
      {shown.map(([name, value]) => (
        <div>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
