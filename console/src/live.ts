// The fleet as the door tells it, while somebody looks.

import { useEffect, useState } from "preact/hooks";
import { sentence, type Door } from "./door.ts";
import type { Fleet, You } from "./shapes.ts";

const EVENTS = "/v1/fleet/events";
const PATIENCE_MS = [500, 1000, 2000, 5000, 10_000];

/** What this key may do. Throws `Refusal` (403) for one that may not see the fleet. */
export async function whoAmI(door: Door): Promise<You | null> {
  const abort = new AbortController();
  try {
    for await (const event of door.events(EVENTS, { signal: abort.signal })) {
      if (event.name === "you") return JSON.parse(event.data) as You;
    }
    return null;
  } finally {
    abort.abort();
  }
}

export interface Live {
  fleet: Fleet | null;
  trouble: string;
}

/** Nothing is asked while `shown` is false, or the tab is behind others. */
export function useFleet(door: Door, shown: boolean): Live {
  const [live, setLive] = useState<Live>({ fleet: null, trouble: "" });
  const visible = useVisible();
  useEffect(() => {
    if (!shown || !visible) return undefined;
    const abort = new AbortController();
    void follow(door, abort.signal, setLive);
    return () => abort.abort();
  }, [door, shown, visible]);
  return live;
}

async function follow(door: Door, signal: AbortSignal, tell: (change: (before: Live) => Live) => void): Promise<void> {
  let failed = 0;
  while (!signal.aborted) {
    try {
      for await (const event of door.events(EVENTS, { signal })) {
        failed = 0;
        if (event.name === "fleet") {
          const fleet = JSON.parse(event.data) as Fleet;
          tell(() => ({ fleet, trouble: "" }));
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      tell((before) => ({ ...before, trouble: `${sentence(error)}${before.fleet ? " What is shown is from before." : ""}` }));
      const rest = PATIENCE_MS[Math.min(failed++, PATIENCE_MS.length - 1)];
      await new Promise((done) => setTimeout(done, rest));
    }
  }
}

function useVisible(): boolean {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const look = (): void => setVisible(!document.hidden);
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return visible;
}
