// What the door answers, as far as the console reads it.

export type Task = "chat" | "transcribe" | "speak" | "embed" | "rerank";
export type State = "cold" | "waiting" | "loading" | "ready" | "down";

export interface Model {
  id: string;
  task: Task;
  engine: string;
  state: State;
  description: string;
  progress?: number | null;
  message?: string | null;
  steps?: Record<string, string>;
}

export interface Voice {
  id: string;
  name: string;
  language?: string;
}

export interface Word {
  word: string;
  start: number;
  end: number;
}

export interface Segment {
  start: number;
  end: number;
  text: string;
}

export interface Transcript {
  text: string;
  language?: string;
  duration?: number;
  words?: Word[];
  segments?: Segment[];
}

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export interface ChatChunk {
  choices?: {
    delta: {
      content?: string | null;
      reasoning?: string | null;
      reasoning_content?: string | null;
      tool_calls?: (Partial<Omit<ToolCall, "function">> & { index: number; function?: Partial<ToolCall["function"]> })[];
      audio?: { transcript?: string; data?: string };
    };
    finish_reason: string | null;
  }[];
  usage?: Usage | null;
  error?: { message: string; code: string };
}

export interface Entry {
  model: string;
  variant: string;
  pid: number;
  share: number;
  granted: number;
  estimated: number | null;
  used: number | null;
}

export interface Card {
  node: string;
  machine: string;
  gpu: number;
  vram: number;
  share: number;
  entries: Entry[];
}

export interface Replica {
  node: string;
  pid: number;
  ongoing: number;
  queued: number;
  machine: string;
  gpus: number[];
  memory: { ram: number | null; vram: number | null };
}

export interface Variant {
  engine: string;
  nodes: string[];
  share: number;
  slot: string | null;
  weight: number;
  state: State;
  stage: string;
  progress: number | null;
  seconds: number;
  message: string;
  pending: number;
  circuit: "closed" | "open" | "half-open";
  may_be_cold: boolean;
  replicas: Replica[];
}

export interface FleetModel {
  task: Task;
  aliases: string[];
  steps: Record<string, string>;
  state: State;
  message: string;
  traffic: { before: Record<string, number>; at: number; why: string } | null;
  variants: Record<string, Variant>;
}

export interface NodeKind {
  vendor: string;
  card: string | null;
  gpus: number;
  vram: number;
  cpus: number;
  count: number;
}

/** Of one variant, over `seconds`: null where nothing was asked of it. */
export interface Figures {
  requests: number;
  failed: number;
  tokens_per_s: number;
  p50_s: number | null;
  p95_s: number | null;
  first_p50_s: number | null;
}

export interface Fleet {
  nodes: Record<string, NodeKind>;
  models: Record<string, FleetModel>;
  gpus: Card[];
  figures: { seconds: number; of: Record<string, Record<string, Figures>> } | null;
}

export interface You {
  operator: boolean;
  version: string;
}

export interface UsageRow {
  key?: string;
  model?: string;
  hour?: string;
  requests: number;
  errors: number;
  prompt_tokens: number;
  completion_tokens: number;
  audio_seconds: number;
  characters: number;
  gpu_seconds: number;
}

export interface Key {
  id: string;
  owner: string;
  scopes: string[];
  limits: Record<string, number>;
  weight: number;
  priority: string;
  created: string;
  expires: string | null;
  state: "valid" | "expired" | "revoked";
}
