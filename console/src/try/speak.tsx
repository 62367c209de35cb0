import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { AsCode, Download, Field, Form, Screen, seconds, Trouble, useHere, useModel, useUrl, useWork } from "../parts.tsx";
import type { Model, Voice } from "../shapes.ts";

const FORMATS = { mp3: "audio/mpeg", wav: "audio/wav", opus: "audio/ogg", aac: "audio/aac", flac: "audio/flac" };
type Format = keyof typeof FORMATS;

interface Spoken {
  sound: Blob;
  format: Format;
  told: string;
}

/** The voices of a model, and what chooses one of them. */
export function useVoice(model: Model | undefined): [string, VNode] {
  const { door } = useHere();
  const [voices, setVoices] = useState<Voice[]>([]);
  const [voice, setVoice] = useState("");
  useEffect(() => {
    if (!model) return;
    const asked = door.json<{ voices: Voice[] }>(`/v1/audio/voices?model=${encodeURIComponent(model.id)}`);
    void asked.then((found) => setVoices(found.voices), () => setVoices([]));
  }, [model?.id, model?.state, door]);
  const chosen = voices.some((one) => one.id === voice) ? voice : (voices[0]?.id ?? "");
  const choice = (
    <Field label="Voice" hint={voices.length > 1 ? `${voices.length} voices` : ""}>
      {(id) =>
        voices.length ? (
          <select id={id} value={chosen} onChange={(event) => setVoice(event.currentTarget.value)}>
            {voices.map((one) => (
              <option value={one.id}>
                {one.name}
                {one.language ? ` (${one.language})` : ""}
              </option>
            ))}
          </select>
        ) : (
          <input id={id} placeholder="its name" value={voice} onInput={(event) => setVoice(event.currentTarget.value)} />
        )
      }
    </Field>
  );
  return [voices.length ? chosen : voice, choice];
}

export function Speak(): VNode {
  const { door } = useHere();
  const [model, choice] = useModel("speak");
  const [voice, voiceChoice] = useVoice(model);
  const [text, setText] = useState("A motley fleet answers under one name.");
  const [format, setFormat] = useState<Format>("mp3");
  const [speed, setSpeed] = useState(1);
  const [spoken, setSpoken] = useState<Spoken | null>(null);
  const { busy, trouble, run, stop } = useWork();
  const url = useUrl(spoken?.sound ?? null);
  const body = { model: model?.id ?? "", voice, input: text, response_format: format, ...(speed === 1 ? {} : { speed }) };

  const speak = (): Promise<void> =>
    run(async (signal) => {
      const began = performance.now();
      const answer = await door.ask("/v1/audio/speech", { body, signal });
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      let first = 0;
      for await (const piece of answer.body ?? []) {
        first ||= performance.now();
        pieces.push(piece);
      }
      const told = `first sound after ${seconds((first - began) / 1000)} · whole after ${seconds((performance.now() - began) / 1000)}`;
      setSpoken({ sound: new Blob(pieces, { type: FORMATS[format] }), format, told });
    });

  return (
    <Screen title="Speak" about="A text becomes speech.">
      <div class="columns">
        <Form class="card" ask={speak}>
          <Field label="Text">
            {(id) => <textarea id={id} rows={8} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
          </Field>
          <div class="row">
            {busy ? (
              <button type="button" class="primary" onClick={stop}>
                Stop
              </button>
            ) : (
              <button type="submit" class="primary" disabled={!model || !text.trim()}>
                Speak
              </button>
            )}
          </div>
          {trouble && <Trouble text={trouble} />}
          {spoken && (
            <div class="result" role="group" aria-label="What was spoken">
              <audio controls autoplay src={url} />
              <div class="row">
                <Download name={`speech.${spoken.format}`} data={spoken.sound} label="Download" />
                <small class="told">
                  {spoken.told} · {(spoken.sound.size / 1024).toFixed(1)} KiB
                </small>
              </div>
            </div>
          )}
        </Form>
        <div class="card settings">
          {choice}
          {voiceChoice}
          <div class="pair">
            <Field label="Format">
              {(id) => (
                <select id={id} value={format} onChange={(event) => setFormat(event.currentTarget.value as Format)}>
                  {Object.keys(FORMATS).map((one) => (
                    <option value={one}>{one}</option>
                  ))}
                </select>
              )}
            </Field>
            <Field label={`Speed: ${speed}×`}>
              {(id) => (
                <input id={id} type="range" min={0.5} max={2} step={0.1} value={speed} onInput={(event) => setSpeed(Number(event.currentTarget.value))} />
              )}
            </Field>
          </div>
          <AsCode call={{ path: "/audio/speech", json: body, saves: `speech.${format}` }} />
        </div>
      </div>
    </Screen>
  );
}
