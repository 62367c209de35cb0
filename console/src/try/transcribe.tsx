import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { captions, type CaptionFormat } from "../captions.ts";
import { AsCode, Download, Field, Screen, seconds, Trouble, useHere, useModel, useUrl, useWork, Waiting } from "../parts.tsx";
import type { Transcript, Word } from "../shapes.ts";

export function Transcribe(): VNode {
  const { door } = useHere();
  const [model, choice] = useModel("transcribe");
  const [file, setFile] = useState<File | null>(null);
  const [language, setLanguage] = useState("");
  const [heard, setHeard] = useState<{ transcript: Transcript; told: string } | null>(null);
  const [over, setOver] = useState(false);
  const { busy, trouble, run, stop } = useWork();
  const url = useUrl(file);
  const player = useRef<HTMLAudioElement>(null);

  const hear = (given: File): Promise<void> =>
    run(async (signal) => {
      setFile(given);
      setHeard(null);
      const form = new FormData();
      form.set("file", given);
      form.set("model", model?.id ?? "");
      form.set("response_format", "verbose_json");
      form.append("timestamp_granularities[]", "word");
      form.append("timestamp_granularities[]", "segment");
      if (language.trim()) form.set("language", language.trim());
      const began = performance.now();
      const transcript = await door.json<Transcript>("/v1/audio/transcriptions", { body: form, signal });
      const took = (performance.now() - began) / 1000;
      const plays = transcript.duration ? `${seconds(transcript.duration)} of sound in ${seconds(took)}` : seconds(took);
      const fast = transcript.duration && took > 0 ? ` · ${(transcript.duration / took).toFixed(1)}× as fast as it plays` : "";
      setHeard({ transcript, told: `${plays}${fast}${transcript.language ? ` · ${transcript.language}` : ""}` });
    });

  const take = (files: FileList | null | undefined): void => {
    const given = files?.[0];
    if (given && model) void hear(given);
  };
  const segments = heard?.transcript.segments ?? [];
  const name = file?.name.replace(/\.[^.]*$/, "") || "transcript";
  const form = {
    model: model?.id ?? "",
    response_format: "verbose_json",
    timestamp_granularities: ["word", "segment"],
    ...(language.trim() ? { language: language.trim() } : {}),
  };
  return (
    <Screen title="Transcribe" about="Drop a file of any common sound or film format. Its words light up as it plays; a click on one goes there.">
      <div class="columns">
        <div class="card">
          <label
            class={`drop ${over ? "over" : ""}`}
            onDragOver={(event) => {
              event.preventDefault();
              setOver(true);
            }}
            onDragLeave={() => setOver(false)}
            onDrop={(event) => {
              event.preventDefault();
              setOver(false);
              take(event.dataTransfer?.files);
            }}
          >
            <strong>{file ? file.name : "Drop a file here"}</strong>
            <span>{file ? "or drop another one" : "or choose one"}</span>
            <input
              type="file"
              class="unseen"
              accept="audio/*,video/*"
              disabled={!model}
              onChange={({ currentTarget: one }) => {
                take(one.files);
                one.value = "";
              }}
            />
          </label>
          <Waiting on={busy} stop={stop}>
            listening …
          </Waiting>
          {trouble && <Trouble text={trouble} />}
          {file && <audio controls src={url} ref={player} />}
          {file && !busy && (
            <button type="button" disabled={!model} onClick={() => void hear(file)}>
              Hear it again
            </button>
          )}
          {heard && (
            <div class="result" role="group" aria-label="What was heard">
              {heard.transcript.words?.length ? <Words words={heard.transcript.words} player={player} /> : <p class="plain">{heard.transcript.text || "(nothing was said)"}</p>}
              <small class="told">{heard.told}</small>
              <div class="row">
                {(["srt", "vtt"] as CaptionFormat[]).map((one) => (
                  <Download name={`${name}.${one}`} data={captions(segments, one)} label={`Download ${one.toUpperCase()}`} />
                ))}
                <Download name={`${name}.txt`} data={`${heard.transcript.text}\n`} label="Download text" />
              </div>
            </div>
          )}
        </div>
        <div class="card settings">
          {choice}
          <Field label="Language" hint="de, en, fr …; left empty, the model finds out">
            {(id) => <input id={id} value={language} onInput={(event) => setLanguage(event.currentTarget.value)} />}
          </Field>
          <AsCode call={{ path: "/audio/transcriptions", form, file: file?.name ?? "speech.wav" }} />
        </div>
      </div>
    </Screen>
  );
}

/** The words of a recording; the one that is being said has `aria-current`. */
function Words({ words, player }: { words: Word[]; player: { readonly current: HTMLAudioElement | null } }): VNode {
  const [now, setNow] = useState(-1);
  useEffect(() => {
    const audio = player.current;
    if (!audio) return undefined;
    let frame = 0;
    const look = (): void => {
      const at = audio.currentTime;
      setNow(words.findLastIndex((one) => one.start <= at && at > 0));
      if (!audio.paused) frame = requestAnimationFrame(look);
    };
    const events = ["play", "seeked", "pause", "timeupdate"] as const;
    for (const one of events) audio.addEventListener(one, look);
    return () => {
      cancelAnimationFrame(frame);
      for (const one of events) audio.removeEventListener(one, look);
    };
  }, [words]);
  const go = (to: number): void => {
    const audio = player.current;
    if (!audio) return;
    audio.currentTime = to;
    void audio.play();
  };
  return (
    <p class="words">
      {words.map((one, index) => (
        <button type="button" title={`${one.start.toFixed(2)} s`} aria-current={index === now ? "true" : undefined} onClick={() => go(one.start)}>
          {one.word.trim()}
        </button>
      ))}
    </p>
  );
}
