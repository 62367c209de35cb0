import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import { Refusal, type Door } from "../door.ts";
import { AsCode, Download, Screen, seconds, Trouble, useHere, useModel, useUrl, useWork } from "../parts.tsx";
import type { ChatChunk, Model, Transcript } from "../shapes.ts";
import type { Json } from "../snippets.ts";
import { base64, Player, Recorder } from "../sound.ts";
import { useVoice } from "./speak.tsx";

interface Exchange {
  asked: string; // empty where nobody may tell us what was heard
  answer: string;
  sound: Blob | null;
  told: string;
}

const TAP_MS = 300;
const spoken = (model: Model): boolean => Boolean(model.steps?.hear && model.steps.speak);

export function Talk(): VNode {
  const { door, models } = useHere();
  const [model, choice] = useModel("chat", spoken);
  const [voice, voiceChoice] = useVoice(models.find((one) => one.id === model?.steps?.speak));
  const [recording, setRecording] = useState(false);
  const [said, setSaid] = useState<Exchange[]>([]);
  const [stage, setStage] = useState("");
  const { busy, trouble, run, stop } = useWork();
  const recorder = useRef(new Recorder());
  const player = useRef<Player | null>(null);
  const since = useRef(0);

  const begin = (): Promise<void> =>
    run(async () => {
      player.current?.silence();
      since.current = performance.now();
      await recorder.current.start();
      setRecording(true);
    });

  const end = (): Promise<void> =>
    run(async (signal) => {
      setRecording(false);
      setStage("listening …");
      const sound = await recorder.current.stop();
      const began = performance.now();
      const hear = models.find((one) => one.id === model?.steps?.hear);
      const asked = hear ? await transcript(door, hear.id, sound, signal) : "";
      if (hear && !asked.trim()) throw new Error("Nothing was heard.");
      // Text where we have it: else the same sound would be heard a second time.
      const content: Json = asked || [{ type: "input_audio", input_audio: { data: await base64(sound), format: "wav" } }];
      const exchange: Exchange = { asked, answer: "", sound: null, told: "" };
      const show = (): void => setSaid([...said, { ...exchange }]);
      show();
      setStage("thinking …");
      const playing = new Player();
      player.current = playing;
      let first = 0;
      const body = { ...request(model?.id ?? "", voice, [...history(said), { role: "user", content }]), stream: true };
      for await (const event of door.events("/v1/chat/completions", { body, signal })) {
        if (event.data === "[DONE]") break;
        const chunk = JSON.parse(event.data) as ChatChunk;
        if (chunk.error) throw new Refusal(chunk.error.message, 200, chunk.error.code, null);
        const audio = chunk.choices?.[0]?.delta.audio;
        if (audio?.data) {
          first ||= performance.now();
          playing.add(audio.data);
          setStage("speaking …");
        }
        exchange.answer += audio?.transcript ?? "";
        if (audio) show();
      }
      exchange.sound = playing.whole();
      exchange.told = first ? `first sound ${seconds((first - began) / 1000)} after the question` : "";
      show();
    });

  // Held, it records while it is held; a tap begins, and the next one ends.
  const press = (): void => void (recording ? end() : busy || begin());
  const release = (): void => {
    if (recording && performance.now() - since.current > TAP_MS) void end();
  };
  const json = { ...request(model?.id ?? "", voice, [{ role: "user", content: "What is the capital of Japan?" }], "wav") };
  return (
    <Screen title="Talk" about="Hold the button, ask, let go. A model that hears, thinks and speaks answers you.">
      <div class="columns">
        <div class="card talk">
          <div class="row middle">
            <button
              type="button"
              class={`record ${recording ? "on" : ""}`}
              disabled={!model}
              aria-disabled={busy && !recording}
              aria-pressed={recording}
              onPointerDown={(event) => {
                if (event.button) return;
                // Also where the pointer has left the button it is let go of here.
                event.currentTarget.setPointerCapture(event.pointerId);
                press();
              }}
              onPointerUp={release}
              onPointerCancel={release}
              onKeyDown={(event) => {
                if (event.repeat || (event.key !== " " && event.key !== "Enter")) return;
                event.preventDefault();
                press();
              }}
              onKeyUp={(event) => {
                if (event.key === " " || event.key === "Enter") release();
              }}
            >
              {recording ? "Recording" : "Hold to talk"}
            </button>
            {busy && !recording && (
              <button type="button" onClick={() => (player.current?.silence(), stop())}>
                Stop
              </button>
            )}
          </div>
          <p class="waiting" role="status">
            {recording ? "Let go to send, or tap once more." : busy ? stage : ""}
          </p>
          {trouble && <Trouble text={trouble} />}
          <div class="log" role="log" aria-label="The conversation" aria-busy={busy}>
            {!model && (
              <p class="empty">
                No model here hears, thinks and speaks. One is made of three others, with <code>steps: {"{hear: …, think: …, speak: …}"}</code> in the fleet.
              </p>
            )}
            {said.map((one) => (
              <Heard exchange={one} />
            ))}
          </div>
        </div>
        <div class="card settings">
          {choice}
          {voiceChoice}
          {model && (
            <p class="hint">
              It hears with {model.steps?.hear}, thinks with {model.steps?.think} and speaks with {model.steps?.speak}.
            </p>
          )}
          <AsCode call={model ? { path: "/chat/completions", json } : null} />
        </div>
      </div>
    </Screen>
  );
}

function request(model: string, voice: string, messages: Json[], format = "pcm16"): { [name: string]: Json } {
  return { model, modalities: ["text", "audio"], audio: { voice, format }, messages };
}

/** What was said before, where both sides are known as text. */
function history(said: Exchange[]): Json[] {
  return said.filter((one) => one.asked && one.answer).flatMap((one) => [
    { role: "user", content: one.asked },
    { role: "assistant", content: one.answer },
  ]);
}

async function transcript(door: Door, model: string, sound: Blob, signal: AbortSignal): Promise<string> {
  const form = new FormData();
  form.set("file", sound, "question.wav");
  form.set("model", model);
  return (await door.json<Transcript>("/v1/audio/transcriptions", { body: form, signal })).text;
}

function Heard({ exchange }: { exchange: Exchange }): VNode {
  const url = useUrl(exchange.sound);
  return (
    <>
      <article class="turn user" aria-label="You">
        <p class="plain">{exchange.asked || "(a spoken question)"}</p>
      </article>
      {exchange.answer && (
        <article class="turn assistant" aria-label="Model">
          <p class="plain">{exchange.answer}</p>
          {exchange.sound && (
            <div class="row">
              <audio controls src={url} />
              <Download name="answer.wav" data={exchange.sound} label="Download" />
            </div>
          )}
          {exchange.told && <small class="told">{exchange.told}</small>}
        </article>
      )}
    </>
  );
}
