// Markdown to elements. Text only ever becomes text: nothing is parsed as HTML, and nothing is fetched.

import type { ComponentChildren, VNode } from "preact";

const INLINE =
  /`([^`\n]+)`|\*\*([^*\n]+)\*\*|(?<![\w*])\*([^*\s][^*\n]*)\*(?!\w)|(?<![\w_])_([^_\s][^_\n]*)_(?!\w)|\[([^\]\n]+)\]\(([^)\s]+)\)/;
const SAFE = /^(https?:\/\/|mailto:)/i;

export function inline(text: string): ComponentChildren[] {
  const parts: ComponentChildren[] = [];
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    const [whole, code, bold, star, underscore, label, target] = found;
    if (found.index) parts.push(rest.slice(0, found.index));
    if (code !== undefined) parts.push(<code>{code}</code>);
    else if (bold !== undefined) parts.push(<strong>{inline(bold)}</strong>);
    else if (label !== undefined && target !== undefined) parts.push(link(label, target));
    else parts.push(<em>{inline(star ?? underscore ?? "")}</em>);
    rest = rest.slice(found.index + whole.length);
  }
  if (rest) parts.push(rest);
  return parts;
}

function link(label: string, target: string): ComponentChildren {
  if (!SAFE.test(target)) return label;
  return (
    <a href={target} target="_blank" rel="noopener noreferrer">
      {label}
    </a>
  );
}

const FENCE = /^\s*(```+|~~~+)\s*([\w+#.-]*)/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const BULLET = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;

export function Markdown({ text }: { text: string }): VNode {
  return <div class="markdown">{blocks(text.split("\n"))}</div>;
}

function blocks(lines: string[]): VNode[] {
  const found: VNode[] = [];
  let at = 0;
  const while_ = (fits: (line: string) => boolean): string[] => {
    const from = at;
    while (at < lines.length && fits(lines[at] ?? "")) at++;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at] ?? "";
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    if (!line.trim()) at++;
    else if (fence) {
      at++;
      const mark = fence[1] ?? "```";
      found.push(<Code language={fence[2] ?? ""} text={while_((one) => !one.trim().startsWith(mark)).join("\n")} />);
      at++;
    } else if (RULE.test(line)) {
      at++;
      found.push(<hr />);
    } else if (heading) {
      at++;
      const Level = `h${Math.min(6, (heading[1] ?? "").length + 2)}` as "h3";
      found.push(<Level>{inline(heading[2] ?? "")}</Level>);
    } else if (line.startsWith(">")) {
      const quoted = while_((one) => one.startsWith(">"));
      found.push(<blockquote>{blocks(quoted.map((one) => one.replace(/^>\s?/, "")))}</blockquote>);
    } else if (BULLET.test(line)) {
      found.push(list(while_((one) => BULLET.test(one) || /^\s+\S/.test(one))));
    } else if (line.includes("|") && /^[\s|:-]*-[\s|:-]*$/.test(lines[at + 1] ?? "")) {
      found.push(table(while_((one) => one.includes("|"))));
    } else {
      const starts = (one: string): boolean =>
        !one.trim() || FENCE.test(one) || HEADING.test(one) || BULLET.test(one) || one.startsWith(">");
      at++;
      found.push(<p>{inline([line, ...while_((one) => !starts(one))].join("\n"))}</p>);
    }
  }
  return found;
}

function list(lines: string[]): VNode {
  const depth = BULLET.exec(lines[0] ?? "")?.[1]?.length ?? 0;
  const items: string[][] = [];
  for (const line of lines) {
    const bullet = BULLET.exec(line);
    if (bullet && (bullet[1]?.length ?? 0) <= depth) items.push([bullet[3] ?? ""]);
    else items.at(-1)?.push(line.slice(Math.min(depth + 2, line.length - line.trimStart().length)));
  }
  const Kind = /^\s*\d/.test(lines[0] ?? "") ? "ol" : "ul";
  return (
    <Kind>
      {items.map(([first = "", ...rest]) => (
        <li>
          {inline(first)}
          {blocks(rest)}
        </li>
      ))}
    </Kind>
  );
}

function table([head = "", , ...rows]: string[]): VNode {
  const cells = (line: string): string[] => line.trim().replace(/^\||\|$/g, "").split("|");
  return (
    <table>
      <thead>
        <tr>
          {cells(head).map((one) => (
            <th>{inline(one.trim())}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr>
            {cells(row).map((one) => (
              <td>{inline(one.trim())}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Code({ language, text }: { language: string; text: string }): VNode {
  return (
    <pre tabindex={0} aria-label={language ? `${language} code` : "code"}>
      <code>{text}</code>
    </pre>
  );
}
