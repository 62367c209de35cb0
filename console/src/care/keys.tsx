import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Screen, Trouble, useHere, useWork } from "../parts.tsx";
import type { Key } from "../shapes.ts";

interface Found {
  data: Key[];
  static: number;
}

const day = (moment: string | null): string => (moment ? moment.slice(0, 10) : "never");

export function Keys({ shown }: { shown: boolean }): VNode {
  const { door } = useHere();
  const [found, setFound] = useState<Found | null>(null);
  const { trouble, run } = useWork();
  useEffect(() => {
    if (shown) void run(async (signal) => setFound(await door.json<Found>("/v1/keys", { signal })));
  }, [shown, door]);
  return (
    <Screen title="Keys" about="Who may use this door, and for what. Nobody can show what a key reads: the file has digests.">
      {trouble && <Trouble text={trouble} />}
      {found && (
        <div class="card">
          {found.data.length ? <Table keys={found.data} /> : <p class="empty">There is no key in a file here.</p>}
          {found.static > 0 && (
            <p class="hint">
              {found.static === 1 ? "One more key stands" : `${found.static} more keys stand`} in the door's settings (MOTLEY_API_KEYS) and may do everything.
            </p>
          )}
          {!found.data.length && !found.static && <p class="hint">No keys are set: whoever reaches this door may do everything.</p>}
        </div>
      )}
      <div class="card">
        <h2>To make one, or take one back</h2>
        <p class="hint">
          Keys live in a file that doors only read, so they are made where that file is (MOTLEY_KEYS_FILE). Every door knows a second later.
        </p>
        <pre tabindex={0} aria-label="commands">
          <code>{`motley keys create --owner ann --scope 'chat:*' --expires 90d
motley keys rotate key_… --overlap 24h
motley keys revoke key_…`}</code>
        </pre>
      </div>
    </Screen>
  );
}

function Table({ keys }: { keys: Key[] }): VNode {
  return (
    <div class="scroll" tabindex={0} role="region" aria-label="All keys">
      <table class="figures">
        <thead>
          <tr>
            {["id", "owner", "may", "limits", "turns", "made", "ends", "state"].map((one) => (
              <th scope="col">{one}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <tr>
              <th scope="row">
                <code>{key.id}</code>
              </th>
              <td>{key.owner}</td>
              <td>{key.scopes.join(", ")}</td>
              <td>{Object.entries(key.limits).map(([name, amount]) => `${name} ${amount}`).join(", ") || "–"}</td>
              <td>
                {key.weight}, {key.priority}
              </td>
              <td>
                <time>{day(key.created)}</time>
              </td>
              <td>
                <time>{day(key.expires)}</time>
              </td>
              <td>
                <span class={`badge ${key.state === "valid" ? "ready" : "down"}`}>{key.state}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
