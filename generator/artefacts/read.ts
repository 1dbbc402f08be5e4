import { Node, Project, SyntaxKind } from "ts-morph";
import type {
  InterfaceDeclaration,
  JSDoc,
  JSDocTag,
  PropertySignature,
  SourceFile,
  TypeLiteralNode,
  TypeNode,
  UnionTypeNode,
} from "ts-morph";
import type { Form, Identity, Json, Problem, Role, Variable, VarType } from "../ir.js";
import { valueFaults } from "./values.js";

/**
 * The library that the model may use, in place of TypeScript's own: reading that takes longer than everything
 * else here together. The compiler insists on the empty ones.
 */
const library = `
interface Array<T> { readonly length: number; [index: number]: T }
interface Boolean {} interface CallableFunction {} interface Function {} interface IArguments {}
interface NewableFunction {} interface Number {} interface Object {} interface RegExp {} interface String {}
type Pick<T, K extends keyof T> = { [P in K]: T[P] };
`;

/**
 * `@selector [KEY...]` marks a selector: an entry has exactly one, with the keys named. `@needs KEY...` is one that needs
 * one of the keys named next to it, `@without KEY...` one that may not stand next to them. `@number` is a text that may
 * be written as a number, `@commas` a list of texts that may be written as one text with commas. `@secret` is a text that
 * no message may show, `@format path [ENDING]` a path. `@since RELEASE`: OpenStack knows it from then on (said at the end).
 */
const knownTags = [
  "commas",
  "default",
  "example",
  "format",
  "maximum",
  "minimum",
  "needs",
  "number",
  "raw",
  "secret",
  "selector",
  "since",
  "unset",
  "without",
];

/** A tag whose text the compiler is asked about; `scratchLine` is where that question stands. */
interface Question {
  readonly scratchLine: number;
  readonly line: number;
  readonly what: string;
}

interface Reading {
  readonly file: string;
  readonly problems: Problem[];
  /** Texts of a form, by the name of their type. */
  readonly forms: Map<string, Form>;
  /** TypeScript put behind the model: each line holds one tag's value against its type. */
  readonly scratch: string[];
  readonly questions: Question[];
  readonly modelLines: number;
}

/**
 * The role that the model describes, or every fault of the model at once.
 *
 * The first exported interface is the role; interfaces that it names are dictionaries; a type with `@pattern EXPRESSION
 * WORDS` is a text of that form. Types are read as they are written, not as the checker resolves them: it would reorder
 * the choices of a union.
 *
 * @param file the model's name in messages
 * @param text the model
 */
export function readModel(
  file: string,
  text: string,
  identity: Identity,
): { role: Role; problems: readonly Problem[] } {
  const reading: Reading = {
    file,
    problems: [],
    forms: new Map(),
    scratch: [],
    questions: [],
    modelLines: text.split("\n").length,
  };
  const role = readRole(reading, parse(text, ""), identity);
  return {
    role,
    problems: [...reading.problems, ...compile(reading, text)].sort((a, b) => (a.line ?? 0) - (b.line ?? 0)),
  };
}

function project(): Project {
  return new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    compilerOptions: { noLib: true, strict: true, types: [] },
  });
}

function parse(text: string, scratch: string): SourceFile {
  return project().createSourceFile("/model.ts", text + "\n" + scratch);
}

function readRole(reading: Reading, source: SourceFile, identity: Identity): Role {
  const root = source.getInterfaces().find((candidate) => candidate.isExported());
  if (!root) {
    complain(reading, 1, "the model exports no interface");
    return { identity, shortDescription: "", description: [], variables: [] };
  }
  readForms(reading, source);
  const [shortDescription = "", ...description] = paragraphs(root.getJsDocs());
  if (shortDescription === "") complain(reading, root.getStartLineNumber(), `${root.getName()} has no description`);
  return { identity, shortDescription, description, variables: readFields(reading, root, [root]) };
}

/**
 * The forms of texts: `type PciAddress = string;` with a tag `@pattern`, whose expression is JavaScript's, with the
 * flag u.
 */
function readForms(reading: Reading, source: SourceFile): void {
  for (const alias of source.getTypeAliases())
    for (const tag of alias.getJsDocs().flatMap((doc) => doc.getTags())) {
      const name = alias.getName();
      const [, pattern = "", words = ""] = /^(\S*)\s*(.*)$/.exec(tagText(tag)) ?? [];
      const fault =
        tag.getTagName() !== "pattern"
          ? `the type ${name} has the unknown tag @${tag.getTagName()}; known is @pattern`
          : alias.getTypeNode()?.getKind() !== SyntaxKind.StringKeyword
            ? `@pattern of ${name}: only a string has it`
            : words === ""
              ? `@pattern of ${name}: an expression, and after a space what it stands for in words`
              : expressionFault(name, pattern);
      if (fault === undefined) reading.forms.set(name, { pattern, words });
      else complain(reading, tag.getStartLineNumber(), fault);
    }
}

function expressionFault(name: string, pattern: string): string | undefined {
  try {
    new RegExp(pattern, "u");
    return undefined;
  } catch (error) {
    return `@pattern of ${name}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function readFields(reading: Reading, owner: InterfaceDeclaration, path: readonly InterfaceDeclaration[]): Variable[] {
  for (const member of owner.getMembers())
    if (!Node.isPropertySignature(member))
      complain(reading, member.getStartLineNumber(), `${owner.getName()} may have nothing but properties`);
  if (owner.getExtends().length > 0)
    complain(reading, owner.getStartLineNumber(), `${owner.getName()} may not extend another interface`);
  return owner.getProperties().map((property) => readVariable(reading, owner, property, path));
}

function readVariable(
  reading: Reading,
  owner: InterfaceDeclaration,
  property: PropertySignature,
  path: readonly InterfaceDeclaration[],
): Variable {
  const name = property.getName();
  const line = property.getStartLineNumber();
  const required = !property.hasQuestionToken();
  const tags = readTags(reading, property);
  const since = readSince(reading, name, tags);
  const description = withSince(paragraphs(property.getJsDocs()), since);
  if (description.length === 0) complain(reading, line, `${name} has no description`);

  const type = readType(reading, name, property, tags, path);
  const value = (tag: "default" | "example"): Json | undefined =>
    readValue(reading, owner, name, type, tag, tags.get(tag));
  const standard = value("default");
  const example = value("example");
  const selector = readKeys(reading, owner, name, "selector", tags, path);
  const needs = readKeys(reading, owner, name, "needs", tags, path);
  const without = readKeys(reading, owner, name, "without", tags, path);

  const topLevel = path.length === 1;
  const unset = tags.get("unset");
  if (unset && tags.has("default"))
    complain(reading, unset.getStartLineNumber(), `${name} has @unset and @default; one of them is wrong`);
  if (unset && (!topLevel || required))
    complain(
      reading,
      unset.getStartLineNumber(),
      `@unset of ${name}: that is for optional variables of the role itself`,
    );
  if (topLevel && !required && !unset && !tags.has("default"))
    complain(reading, line, `${name} is optional and has no @default; if that is intended, add @unset`);
  if (required && tags.has("default"))
    complain(reading, line, `${name} is required and has a @default; one of them is wrong`);

  return {
    name,
    description,
    type,
    required,
    ...(selector === undefined ? {} : { selector }),
    ...(needs === undefined ? {} : { needs }),
    ...(since === undefined ? {} : { since }),
    ...(without === undefined ? {} : { without }),
    ...(tags.has("secret") ? { secret: true as const } : {}),
    ...(standard === undefined ? {} : { default: standard }),
    ...(example === undefined ? {} : { example }),
  };
}

function readTags(reading: Reading, property: PropertySignature): Map<string, JSDocTag> {
  const tags = new Map<string, JSDocTag>();
  for (const tag of property.getJsDocs().flatMap((doc) => doc.getTags())) {
    const name = tag.getTagName();
    const line = tag.getStartLineNumber();
    if (!knownTags.includes(name))
      complain(
        reading,
        line,
        `${property.getName()} has the unknown tag @${name}; known are ${knownTags.map((known) => `@${known}`).join(" ")}`,
      );
    else if (tags.has(name)) complain(reading, line, `${property.getName()} has @${name} twice`);
    else tags.set(name, tag);
  }
  return tags;
}

function readType(
  reading: Reading,
  name: string,
  property: PropertySignature,
  tags: ReadonlyMap<string, JSDocTag>,
  path: readonly InterfaceDeclaration[],
): VarType {
  const node = property.getTypeNode();
  const written = node ? typeOf(reading, node, path) : undefined;
  if (!written) {
    complain(
      reading,
      property.getStartLineNumber(),
      `${name}: Ansible has no type for ${node ? node.getText() : "a property without type"}`,
    );
    return { kind: "str" };
  }
  const misplaced = (tag: string, kind: string): void => {
    const found = tags.get(tag);
    if (found) complain(reading, found.getStartLineNumber(), `@${tag} of ${name}: only a ${kind} has it`);
  };
  const number = bounded(written, () => bounds(reading, name, tags));
  if (!number) for (const tag of ["minimum", "maximum"]) misplaced(tag, "number");
  if (written.kind !== "str" || written.choices)
    for (const tag of ["format", "number", "raw"]) misplaced(tag, "string");
  const isOfTexts = written.kind === "list" && written.elements.kind === "str" && !written.elements.choices;
  if (!isOfTexts) misplaced("commas", "list of strings");
  if (isOfTexts && tags.has("commas")) return { ...written, commas: true };
  if (written.kind !== "str" || written.choices) return number ?? written;
  return readText(reading, name, tags, written);
}

/** A type that may be a number, with the bounds of that; undefined for any other. */
function bounded(of: VarType, found: () => Bounds): VarType | undefined {
  if (of.kind === "int" || (of.kind === "map" && !of.textOnly)) return { ...of, ...found() };
  const isNumber = of.kind === "raw" && of.also?.some(({ kind }) => kind === "int");
  return isNumber ? { ...of, also: [{ kind: "int", ...found() }] } : undefined;
}

/** A text with its tags, of which one may say what it is. */
function readText(
  reading: Reading,
  name: string,
  tags: ReadonlyMap<string, JSDocTag>,
  written: Extract<VarType, { readonly kind: "str" }>,
): VarType {
  const given = ["format", "number", "raw"].flatMap((tag) => tags.get(tag) ?? []);
  const format = tags.get("format");
  const [, ending] = /^path(?: (\.\S+))?$/.exec(format ? tagText(format) : "path") ?? [undefined, ""];
  if (ending === "")
    complain(
      reading,
      format!.getStartLineNumber(),
      `@format of ${name}: the only one known is path, and after a space what it ends in, as in path .conf`,
    );
  if (given.length > 1)
    complain(
      reading,
      given[0]!.getStartLineNumber(),
      `${name} has ${given.map((tag) => `@${tag.getTagName()}`).join(" and ")}; one of them is wrong`,
    );
  return tags.has("raw")
    ? { ...written, kind: "raw" }
    : format
      ? { kind: "path", ...(ending === undefined ? {} : { ending }) }
      : tags.has("number")
        ? { ...written, number: true }
        : written;
}

/** The OpenStack release that a key needs, by its name or number. */
function readSince(reading: Reading, name: string, tags: ReadonlyMap<string, JSDocTag>): string | undefined {
  const tag = tags.get("since");
  if (!tag) return undefined;
  const release = tagText(tag);
  if (/^(?:[A-Z][a-z]+|20\d\d\.[12])$/.test(release)) return release;
  const fault = `@since of ${name}: "${release}" is not an OpenStack release, for example Zed or 2025.1`;
  complain(reading, tag.getStartLineNumber(), fault);
  return undefined;
}

function withSince(description: readonly string[], since: string | undefined): string[] {
  const last = description.at(-1);
  return last === undefined || since === undefined
    ? [...description]
    : [...description.slice(0, -1), `${last} ${since} and later.`];
}

/** The keys of the same dictionary that a tag names. */
function readKeys(
  reading: Reading,
  owner: InterfaceDeclaration,
  name: string,
  of: "needs" | "selector" | "without",
  tags: ReadonlyMap<string, JSDocTag>,
  path: readonly InterfaceDeclaration[],
): readonly string[] | undefined {
  const tag = tags.get(of);
  if (!tag) return undefined;
  const others = tagText(tag)
    .split(/\s+/)
    .filter((word) => word !== "");
  for (const other of others)
    if (other === name || !owner.getProperty(other))
      complain(reading, tag.getStartLineNumber(), `@${of} of ${name}: ${owner.getName()} has no other key ${other}`);
  if (path.length === 1) complain(reading, tag.getStartLineNumber(), `@${of} of ${name}: that is for keys of an entry`);
  if (of !== "selector" && others.length === 0)
    complain(reading, tag.getStartLineNumber(), `@${of} of ${name}: it names no key`);
  return others;
}

type Bounds = { readonly minimum?: number; readonly maximum?: number };

function bounds(reading: Reading, name: string, tags: ReadonlyMap<string, JSDocTag>): Bounds {
  const found = ["minimum", "maximum"].flatMap((tag) => {
    const written = tags.get(tag);
    const value = written ? tagText(written) : "";
    if (/^-?\d+$/.test(value)) return [[tag, Number(value)]];
    if (written)
      complain(reading, written.getStartLineNumber(), `@${tag} of ${name}: "${value}" is not a whole number`);
    return [];
  });
  return Object.fromEntries(found) as Bounds;
}

function typeOf(reading: Reading, node: TypeNode, path: readonly InterfaceDeclaration[]): VarType | undefined {
  switch (node.getKind()) {
    case SyntaxKind.BooleanKeyword:
      return { kind: "bool" };
    case SyntaxKind.NumberKeyword:
      return { kind: "int" };
  }
  if (Node.isParenthesizedTypeNode(node)) return typeOf(reading, node.getTypeNode(), path);
  if (Node.isArrayTypeNode(node)) {
    const elements = typeOf(reading, node.getElementTypeNode(), path);
    return elements && { kind: "list", elements };
  }
  if (Node.isUnionTypeNode(node)) return unionOf(reading, node, path);
  if (Node.isTypeLiteral(node)) return mapOf(reading, node);
  if (Node.isLiteralTypeNode(node)) return onlyOf(node.getLiteral());
  const text = textOf(reading, node);
  if (text) return { kind: "str", ...text };
  if (Node.isTypeReference(node) && node.getTypeArguments().length === 0) {
    // Only an interface of the model itself: to ts-morph Map and Date are interfaces too.
    const target = node.getSourceFile().getInterface(node.getText());
    if (!target || path.includes(target)) return undefined;
    return { kind: "dict", fields: readFields(reading, target, [...path, target]) };
  }
  return undefined;
}

/** A boolean of which the role takes one value. */
function onlyOf(literal: Node): VarType | undefined {
  if (Node.isTrueLiteral(literal)) return { kind: "bool", only: true };
  return Node.isFalseLiteral(literal) ? { kind: "bool", only: false } : undefined;
}

/** One of several texts, or a text or something else. */
function unionOf(reading: Reading, node: UnionTypeNode, path: readonly InterfaceDeclaration[]): VarType | undefined {
  const isOther = (member: TypeNode): boolean =>
    Node.isArrayTypeNode(member) || Node.isTypeLiteral(member) || member.getKind() === SyntaxKind.NumberKeyword;
  const [text, ...rest] = node
    .getTypeNodes()
    .filter((member) => !isOther(member))
    .map((member) => textOf(reading, member));
  if (text && rest.length === 0) {
    const also = node
      .getTypeNodes()
      .filter(isOther)
      .map((member) => typeOf(reading, member, path));
    return also.every((other) => other !== undefined) ? { kind: "raw", also, ...text } : undefined;
  }
  const choices = node
    .getTypeNodes()
    .map((choice) =>
      Node.isLiteralTypeNode(choice) && Node.isStringLiteral(choice.getLiteral())
        ? (choice.getLiteral() as { getLiteralText(): string }).getLiteralText()
        : undefined,
    );
  return choices.every((choice) => choice !== undefined) ? { kind: "str", choices } : undefined;
}

/** A dictionary with keys of any name. */
function mapOf(reading: Reading, node: TypeLiteralNode): VarType | undefined {
  const [member, ...others] = node.getMembers();
  if (!Node.isIndexSignatureDeclaration(member) || others.length > 0) return undefined;
  const key = textOf(reading, member.getKeyTypeNode());
  const value = member.getReturnTypeNode();
  const values = value && Node.isUnionTypeNode(value) ? value.getTypeNodes() : value ? [value] : [];
  const [text] = values.flatMap((one) => textOf(reading, one) ?? []);
  const rest = values
    .filter((one) => !textOf(reading, one))
    .map((one) => one.getText())
    .sort()
    .join(" ");
  if (!key || !text || !["", "boolean number"].includes(rest)) return undefined;
  return {
    kind: "map",
    ...(key.form ? { keys: key.form } : {}),
    ...(rest === "" ? { textOnly: true } : {}),
    ...text,
  };
}

/** What is known of a text in addition to its type; nothing when the type is not a text, or is a choice. */
function textOf(reading: Reading, node: TypeNode): { readonly form?: Form } | undefined {
  if (node.getKind() === SyntaxKind.StringKeyword) return {};
  const form = Node.isTypeReference(node) ? reading.forms.get(node.getText()) : undefined;
  return form && { form };
}

function readValue(
  reading: Reading,
  owner: InterfaceDeclaration,
  name: string,
  type: VarType,
  tagName: string,
  tag: JSDocTag | undefined,
): Json | undefined {
  if (!tag) return undefined;
  const line = tag.getStartLineNumber();
  const what = `@${tagName} of ${name}`;
  const text = tagText(tag);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    complain(reading, line, `${what}: "${text}" is not JSON`);
    return undefined;
  }
  reading.questions.push({ scratchLine: reading.modelLines + reading.scratch.length + 1, line, what });
  reading.scratch.push(
    `({ ${JSON.stringify(name)}: ${JSON.stringify(value)} }) satisfies Pick<${owner.getName()}, ${JSON.stringify(name)}>;`,
  );
  for (const fault of valueFaults(value, type, name)) complain(reading, line, `${what}: ${fault}`);
  return value;
}

/** Ask the compiler about the model and about every tag in it. */
function compile(reading: Reading, text: string): Problem[] {
  const source = parse(text, reading.scratch.join("\n"));
  source.getProject().createSourceFile("/library.d.ts", library);
  return source.getPreEmitDiagnostics().map((diagnostic) => {
    const at = diagnostic.getLineNumber() ?? 1;
    const message = diagnostic.getMessageText();
    const sentence = typeof message === "string" ? message : message.getMessageText();
    const question = reading.questions.find(({ scratchLine }) => scratchLine === at);
    return {
      file: reading.file,
      line: question ? question.line : at,
      message: question ? `${question.what}: ${sentence}` : sentence,
    };
  });
}

function tagText(tag: JSDocTag): string {
  return (tag.getCommentText() ?? "").replace(/\s*\n\s*/g, " ").trim();
}

function paragraphs(docs: readonly JSDoc[]): string[] {
  return docs
    .flatMap((doc) => doc.getDescription().split(/\n\s*\n/))
    .map((paragraph) => paragraph.replace(/\s+/g, " ").trim())
    .filter((paragraph) => paragraph !== "");
}

function complain(reading: Reading, line: number, message: string): void {
  reading.problems.push({ file: reading.file, line, message });
}
