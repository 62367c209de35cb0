// Machines, their GPUs, and who has which share of them.

import type { VNode } from "preact";
import { bytes, hue } from "../parts.tsx";
import type { Card, Fleet, NodeKind, Replica } from "../shapes.ts";

interface Machine {
  kind: string;
  node: NodeKind | undefined;
  id: string;
  number: number;
  cards: Card[];
  onCpu: { model: string; variant: string; replica: Replica }[];
}

export function Nodes({ fleet }: { fleet: Fleet }): VNode {
  const colours = new Map(Object.keys(fleet.models).map((name, index) => [name, index]));
  // Those who take turns in a slot have its share together, under the slot's name.
  for (const { model } of fleet.gpus.flatMap((card) => card.entries)) colours.set(model, colours.get(model) ?? colours.size);
  return (
    <div class="nodes">
      {machines(fleet).map((machine) => (
        <Node key={`${machine.kind} ${machine.id}`} machine={machine} colours={colours} />
      ))}
    </div>
  );
}

/** Every machine that somebody is on, and of kinds that nobody is on one that is empty. */
function machines(fleet: Fleet): Machine[] {
  const found = new Map<string, Machine>();
  const at = (kind: string, id: string): Machine => {
    const key = `${kind} ${id}`;
    let machine = found.get(key);
    if (!machine) {
      const number = [...found.values()].filter((one) => one.kind === kind).length + 1;
      machine = { kind, node: fleet.nodes[kind], id, number, cards: [], onCpu: [] };
      found.set(key, machine);
    }
    return machine;
  };
  for (const card of fleet.gpus) at(card.node, card.machine).cards.push(card);
  for (const [model, { variants }] of Object.entries(fleet.models)) {
    for (const [variant, { replicas }] of Object.entries(variants)) {
      for (const replica of replicas) {
        const machine = at(replica.node, replica.machine);
        if (!replica.gpus.length) machine.onCpu.push({ model, variant, replica });
      }
    }
  }
  for (const kind of Object.keys(fleet.nodes)) {
    if (![...found.values()].some((one) => one.kind === kind)) at(kind, "");
  }
  const order = Object.keys(fleet.nodes);
  return [...found.values()].sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind));
}

function Node({ machine, colours }: { machine: Machine; colours: Map<string, number> }): VNode {
  const { kind, node } = machine;
  const gpus = Math.max(node?.gpus ?? 0, ...machine.cards.map((one) => one.gpu + 1));
  const count = node?.count ?? 1;
  return (
    <section class="card node" aria-label={`node ${kind}`}>
      <header class="row">
        <h2>
          {kind}
          {count > 1 ? ` ${machine.number} of ${count}` : ""}
        </h2>
        <small>{[node?.vendor, node?.card, node && `${node.cpus} cores`].filter(Boolean).join(" · ")}</small>
      </header>
      {Array.from({ length: gpus }, (_, gpu) => (
        <Gpu gpu={gpu} vram={node?.vram ?? 0} card={machine.cards.find((one) => one.gpu === gpu)} colours={colours} />
      ))}
      {machine.onCpu.length > 0 && (
        <ul class="legend" aria-label="on the CPU">
          {machine.onCpu.map(({ model, variant, replica }) => (
            <li>
              <span class="swatch" style={hue(colours.get(model) ?? 0)} />
              <span>
                {model}
                {variant === "main" ? "" : ` (${variant})`}
              </span>
              <span class="size">{bytes(replica.memory.ram)}</span>
            </li>
          ))}
        </ul>
      )}
      {!machine.cards.length && !machine.onCpu.length && <small>Nobody is on it.</small>}
    </section>
  );
}

function Gpu({ gpu, vram, card, colours }: { gpu: number; vram: number; card: Card | undefined; colours: Map<string, number> }): VNode {
  const entries = card?.entries ?? [];
  const used = entries.every((one) => one.used !== null) ? entries.reduce((sum, one) => sum + (one.used ?? 0), 0) : null;
  const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;
  return (
    <div class="gpu">
      <div class="row between">
        <strong>GPU {gpu}</strong>
        <small>
          {percent(card?.share ?? 0)} given
          {entries.length ? ` · ${bytes(used)} used` : ""}
          {vram ? ` of ${bytes(vram)}` : ""}
        </small>
      </div>
      <div class="track tall" aria-hidden="true">
        {entries.map((one) => (
          <span class="share" data-model={one.model} data-variant={one.variant} style={{ width: `${one.share * 100}%`, ...hue(colours.get(one.model) ?? 0) }}>
            <span class="taken" style={{ width: `${Math.min(1, (one.used ?? 0) / (one.granted || 1)) * 100}%` }} />
          </span>
        ))}
      </div>
      <ul class="legend" aria-label={`GPU ${gpu}`}>
        {entries.map((one) => (
          <li>
            <span class="swatch" style={hue(colours.get(one.model) ?? 0)} />
            <span>
              {one.model}
              {one.variant && one.variant !== "main" ? ` (${one.variant})` : ""} · {percent(one.share)}
            </span>
            <span class="size">
              {bytes(one.used)} of {bytes(one.granted)}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
