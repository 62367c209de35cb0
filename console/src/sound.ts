// Sounds: what the microphone hears, and what comes in pieces.

export const RATE = 24_000; // of the door's pcm

/** Samples as a file of 16 bits, mono. */
export function wav(pieces: Int16Array<ArrayBuffer>[], rate: number): Blob {
  const size = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const head = new DataView(new ArrayBuffer(44));
  const text = (at: number, said: string): void => {
    for (let i = 0; i < said.length; i++) head.setUint8(at + i, said.charCodeAt(i));
  };
  text(0, "RIFF");
  head.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, size, true);
  return new Blob([head.buffer, ...pieces], { type: "audio/wav" });
}

/** From the first `start` to `stop`; what was heard, as a WAV file of 16 kHz. */
export class Recorder {
  private recorder: MediaRecorder | null = null;
  private pieces: Blob[] = [];

  async start(): Promise<void> {
    // Where the page did not come by https or from this machine, browsers have no microphone for it.
    if (!navigator.mediaDevices) throw new Error("Browsers lend the microphone to https pages and to localhost alone.");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch((error: unknown) => {
      throw new Error(error instanceof DOMException && error.name === "NotAllowedError" ? "The browser may not use the microphone: allow it beside the address." : "No microphone was found.");
    });
    this.pieces = [];
    this.recorder = new MediaRecorder(stream);
    this.recorder.addEventListener("dataavailable", (event) => this.pieces.push(event.data));
    this.recorder.start();
  }

  async stop(): Promise<Blob> {
    const recorder = this.recorder;
    if (!recorder) throw new Error("Nothing was recorded.");
    await new Promise((done) => {
      recorder.addEventListener("stop", done, { once: true });
      recorder.stop();
    });
    for (const track of recorder.stream.getTracks()) track.stop();
    return asWav(new Blob(this.pieces));
  }
}

async function asWav(recording: Blob): Promise<Blob> {
  const rate = 16_000;
  const decoder = new OfflineAudioContext(1, 1, rate);
  const sound = await decoder.decodeAudioData(await recording.arrayBuffer());
  return wav([integers(sound.getChannelData(0))], rate);
}

function integers(samples: Float32Array): Int16Array<ArrayBuffer> {
  return Int16Array.from(samples, (sample) => Math.round(Math.max(-1, Math.min(1, sample)) * 32767));
}

/** Plays pieces one after the other, from the first on; base64 of 16 bits at `RATE`, cut anywhere. */
export class Player {
  readonly pieces: Int16Array<ArrayBuffer>[] = [];
  private readonly context = new AudioContext();
  private rest = "";
  private odd: number[] = [];
  private until = 0;

  add(base64: string): void {
    const text = this.rest + base64;
    const whole = text.length - (text.length % 4);
    this.rest = text.slice(whole);
    const bytes = [...this.odd, ...Uint8Array.from(atob(text.slice(0, whole)), (one) => one.charCodeAt(0))];
    this.odd = bytes.length % 2 ? bytes.slice(-1) : [];
    const samples = new Int16Array(Uint8Array.from(bytes.slice(0, bytes.length - this.odd.length)).buffer);
    if (!samples.length) return;
    this.pieces.push(samples);
    const buffer = this.context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    this.until = Math.max(this.until, this.context.currentTime + 0.05);
    source.start(this.until);
    this.until += buffer.duration;
  }

  whole(): Blob {
    return wav(this.pieces, RATE);
  }

  silence(): void {
    void this.context.close();
  }
}

export async function base64(file: Blob): Promise<string> {
  const url = await dataUrl(file);
  return url.slice(url.indexOf(",") + 1);
}

export function dataUrl(file: Blob): Promise<string> {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(String(reader.result)));
    reader.addEventListener("error", () => failed(new Error("The file cannot be read.")));
    reader.readAsDataURL(file);
  });
}
