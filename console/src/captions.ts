// Captions out of segments that are here already: nobody hears the file again for them.

import type { Segment } from "./shapes.ts";

export type CaptionFormat = "srt" | "vtt";

/** As the door writes them: in the order they begin, no empty line within, none shorter than a millisecond. */
export function captions(segments: Segment[], format: CaptionFormat): string {
  const cues = [...segments].sort((one, other) => one.start - other.start).flatMap(({ start, end, text }) => {
    const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
    return lines.length ? [{ start, end: Math.max(end, start + 0.001), text: lines.join("\n") }] : [];
  });
  const dot = format === "srt" ? "," : ".";
  const written = cues.map(({ start, end, text }, index) => {
    const number = format === "srt" ? `${index + 1}\n` : "";
    return `${number}${clock(start, dot)} --> ${clock(end, dot)}\n${format === "srt" ? text.replaceAll("-->", "->") : escaped(text)}\n`;
  });
  return `${format === "vtt" ? "WEBVTT\n\n" : ""}${written.join("\n")}`;
}

const MARKUP: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const escaped = (text: string): string => text.replace(/[&<>]/g, (one) => MARKUP[one] ?? one);

function clock(moment: number, dot: string): string {
  const all = Math.round(moment * 1000);
  const part = (value: number, width: number): string => String(value).padStart(width, "0");
  const [hours, minutes, whole] = [Math.floor(all / 3_600_000), Math.floor(all / 60_000) % 60, Math.floor(all / 1000) % 60];
  return `${part(hours, 2)}:${part(minutes, 2)}:${part(whole, 2)}${dot}${part(all % 1000, 3)}`;
}
