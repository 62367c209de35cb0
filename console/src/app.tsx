// The frame: who is there, which screen, which light.

import type { ComponentType, VNode } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Fleet } from "./care/fleet.tsx";
import { Keys } from "./care/keys.tsx";
import { Usage } from "./care/usage.tsx";
import { Door, Refusal, sentence } from "./door.ts";
import { whoAmI } from "./live.ts";
import { Form, Place, Trouble } from "./parts.tsx";
import type { Model } from "./shapes.ts";
import { Chat } from "./try/chat.tsx";
import { Embed } from "./try/embed.tsx";
import { Rerank } from "./try/rerank.tsx";
import { Speak } from "./try/speak.tsx";
import { Talk } from "./try/talk.tsx";
import { Transcribe } from "./try/transcribe.tsx";

interface Entry {
  path: string;
  name: string;
  group: "Try" | "Look after";
  Screen: ComponentType<{ shown: boolean }>;
  office?: Office; // who may see it; anybody, where nothing is said
}

type Office = "observer" | "operator";

const SCREENS: Entry[] = [
  { path: "chat", name: "Chat", group: "Try", Screen: Chat },
  { path: "talk", name: "Talk", group: "Try", Screen: Talk },
  { path: "speak", name: "Speak", group: "Try", Screen: Speak },
  { path: "transcribe", name: "Transcribe", group: "Try", Screen: Transcribe },
  { path: "embed", name: "Embed", group: "Try", Screen: Embed },
  { path: "rerank", name: "Rerank", group: "Try", Screen: Rerank },
  { path: "fleet", name: "Fleet", group: "Look after", Screen: Fleet, office: "observer" },
  { path: "usage", name: "Usage", group: "Look after", Screen: Usage },
  { path: "keys", name: "Keys", group: "Look after", Screen: Keys, office: "operator" },
];

type Light = "auto" | "light" | "dark";
const LIGHTS: Light[] = ["auto", "light", "dark"];

export function App(): VNode {
  const [path, setPath] = useState(here());
  const [door, setDoor] = useState(() => new Door(""));
  const [models, setModels] = useState<Model[] | null>(null);
  const [offices, setOffices] = useState<Office[]>([]);
  const [locked, setLocked] = useState(false);
  const [trouble, setTrouble] = useState("");
  const [visited, setVisited] = useState<ReadonlySet<string>>(new Set([here()]));

  useEffect(() => {
    const moved = (): void => {
      setPath(here());
      setVisited((before) => new Set([...before, here()]));
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);

  const enter = useCallback(async (with_: Door) => {
    setTrouble("");
    try {
      const found = await with_.json<{ data: Model[] }>("/v1/models");
      setOffices(await officesOf(with_));
      setDoor(with_);
      setModels(found.data);
      setLocked(false);
    } catch (error) {
      const asked = error instanceof Refusal && error.status === 401;
      setLocked(asked);
      setTrouble(asked && with_ === door ? "" : sentence(error));
    }
  }, []);

  useEffect(() => void enter(door), []);
  const come = models?.some((one) => one.state === "loading" || one.state === "waiting") ?? false;
  const entered = models !== null;
  // How the models are, each time that one comes to a screen, and while some load.
  useEffect(() => {
    document.title = `${SCREENS.find((one) => one.path === path)?.name} · Motley`;
    if (!entered) return undefined;
    const look = (): void => {
      if (!document.hidden) void door.json<{ data: Model[] }>("/v1/models").then((found) => setModels(found.data), () => undefined);
    };
    look();
    const timer = come ? setInterval(look, 2000) : undefined;
    return () => clearInterval(timer);
  }, [door, path, entered, come]);
  const place = useMemo(() => ({ door, models: models ?? [], operator: offices.includes("operator") }), [door, models, offices]);
  const open = SCREENS.filter((one) => !one.office || offices.includes(one.office));
  const leave = (): void => {
    setModels(null);
    setVisited(new Set([here()]));
    const nobody = new Door("");
    setDoor(nobody);
    void enter(nobody);
  };

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        Skip to the screen
      </a>
      <nav class="side" aria-label="Screens">
        <a class="brand" href="#/chat">
          <img src="/console/icon.svg" alt="" width={28} height={28} />
          Motley
        </a>
        {(["Try", "Look after"] as const).map((group) => (
          <Group name={group} screens={models ? open : []} path={path} />
        ))}
        <div class="foot">
          <LightSwitch />
          {door.hasKey && (
            <button type="button" class="quiet" onClick={leave}>
              Forget the key
            </button>
          )}
          <a href="/docs">API</a>
        </div>
      </nav>
      <main id="main" tabindex={-1}>
        {trouble && !locked && (
          <div class="row">
            <Trouble text={trouble} />
            <button type="button" onClick={() => void enter(door)}>
              Try again
            </button>
          </div>
        )}
        {locked && <SignIn enter={enter} trouble={trouble} />}
        {models && (
          <Place.Provider value={place}>
            {open.filter((one) => visited.has(one.path)).map(({ path: own, Screen }) => (
              <div key={own} hidden={own !== path}>
                <Screen shown={own === path} />
              </div>
            ))}
            {!open.some((one) => one.path === path) && <Trouble text="This key may not see that screen." />}
          </Place.Provider>
        )}
      </main>
    </>
  );
}

function here(): string {
  const asked = location.hash.replace(/^#\//, "");
  return SCREENS.some((one) => one.path === asked) ? asked : "chat";
}

/** None for a key that may only use models. */
async function officesOf(door: Door): Promise<Office[]> {
  try {
    const you = await whoAmI(door);
    return you?.operator ? ["observer", "operator"] : ["observer"];
  } catch (error) {
    if (error instanceof Refusal && error.status === 403) return [];
    throw error;
  }
}

function Group({ name, screens, path }: { name: Entry["group"]; screens: Entry[]; path: string }): VNode | null {
  const own = screens.filter((one) => one.group === name);
  if (!own.length) return null;
  return (
    <>
      <h2>{name}</h2>
      <ul>
        {own.map((one) => (
          <li>
            <a href={`#/${one.path}`} aria-current={one.path === path ? "page" : undefined}>
              {one.name}
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}

function SignIn({ enter, trouble }: { enter: (door: Door) => Promise<void>; trouble: string }): VNode {
  const [key, setKey] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <Form class="signin card" ask={() => enter(new Door(key.trim()))}>
      <h1>Whose key?</h1>
      <p>
        This door asks for an API key. The page keeps it in memory alone: it is gone when you close or reload it.
      </p>
      <label for="key">API key</label>
      <input id="key" ref={field} type="password" autocomplete="off" spellcheck={false} value={key} onInput={(event) => setKey(event.currentTarget.value)} />
      <button type="submit" class="primary" disabled={!key.trim()}>
        Come in
      </button>
      {trouble && <Trouble text={trouble} />}
    </Form>
  );
}

function LightSwitch(): VNode {
  const [light, setLight] = useState<Light>("auto");
  useEffect(() => {
    document.documentElement.dataset.light = light;
  }, [light]);
  const next = LIGHTS[(LIGHTS.indexOf(light) + 1) % LIGHTS.length] ?? "auto";
  return (
    <button type="button" class="quiet" onClick={() => setLight(next)}>
      Light: {light}
    </button>
  );
}
