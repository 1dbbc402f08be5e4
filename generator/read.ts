import { Node, Project, SyntaxKind } from "ts-morph";
import type { InterfaceDeclaration, JSDoc, JSDocTag, PropertySignature, SourceFile, TypeNode } from "ts-morph";
import type { Identity, Json, Problem, Role, Variable, VarType } from "./ir.js";

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

const knownTags = ["default", "example", "format", "maximum", "minimum", "raw", "unset"];

/** A tag whose text the compiler is asked about; `scratchLine` is where that question stands. */
interface Question {
  readonly scratchLine: number;
  readonly line: number;
  readonly what: string;
}

interface Reading {
  readonly file: string;
  readonly problems: Problem[];
  /** TypeScript put behind the model: each line holds one tag's value against its type. */
  readonly scratch: string[];
  readonly questions: Question[];
  readonly modelLines: number;
}

/**
 * The role that the model describes, or every fault of the model at once.
 *
 * The first exported interface is the role; interfaces that it names are dictionaries. Types are read as they are
 * written, not as the checker resolves them: it would reorder the choices of a union.
 *
 * @param file the model's name in messages
 * @param text the model
 */
export function readModel(file: string, text: string, identity: Identity): { role: Role; problems: readonly Problem[] } {
  const reading: Reading = { file, problems: [], scratch: [], questions: [], modelLines: text.split("\n").length };
  const role = readRole(reading, parse(text, ""), identity);
  return { role, problems: [...reading.problems, ...compile(reading, text)].sort((a, b) => (a.line ?? 0) - (b.line ?? 0)) };
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
  const [shortDescription = "", ...description] = paragraphs(root.getJsDocs());
  if (shortDescription === "") complain(reading, root.getStartLineNumber(), `${root.getName()} has no description`);
  return { identity, shortDescription, description, variables: readFields(reading, root, [root]) };
}

function readFields(reading: Reading, owner: InterfaceDeclaration, path: readonly InterfaceDeclaration[]): Variable[] {
  for (const member of owner.getMembers())
    if (!Node.isPropertySignature(member)) complain(reading, member.getStartLineNumber(), `${owner.getName()} may have nothing but properties`);
  if (owner.getExtends().length > 0) complain(reading, owner.getStartLineNumber(), `${owner.getName()} may not extend another interface`);
  return owner.getProperties().map((property) => readVariable(reading, owner, property, path));
}

function readVariable(reading: Reading, owner: InterfaceDeclaration, property: PropertySignature, path: readonly InterfaceDeclaration[]): Variable {
  const name = property.getName();
  const line = property.getStartLineNumber();
  const required = !property.hasQuestionToken();
  const tags = readTags(reading, property);
  const description = paragraphs(property.getJsDocs());
  if (description.length === 0) complain(reading, line, `${name} has no description`);

  const type = readType(reading, name, property, tags, path);
  const value = (tag: "default" | "example"): Json | undefined => readValue(reading, owner, name, type, tag, tags.get(tag));
  const standard = value("default");
  const example = value("example");

  const topLevel = path.length === 1;
  const unset = tags.get("unset");
  if (unset && tags.has("default")) complain(reading, unset.getStartLineNumber(), `${name} has @unset and @default; one of them is wrong`);
  if (unset && (!topLevel || required)) complain(reading, unset.getStartLineNumber(), `@unset of ${name}: that is for optional variables of the role itself`);
  if (topLevel && !required && !unset && !tags.has("default")) complain(reading, line, `${name} is optional and has no @default; if that is meant, say @unset`);
  if (required && tags.has("default")) complain(reading, line, `${name} is required and has a @default; one of them is wrong`);

  return {
    name,
    description,
    type,
    required,
    ...(standard === undefined ? {} : { default: standard }),
    ...(example === undefined ? {} : { example }),
  };
}

function readTags(reading: Reading, property: PropertySignature): Map<string, JSDocTag> {
  const tags = new Map<string, JSDocTag>();
  for (const tag of property.getJsDocs().flatMap((doc) => doc.getTags())) {
    const name = tag.getTagName();
    const line = tag.getStartLineNumber();
    if (!knownTags.includes(name)) complain(reading, line, `${property.getName()} has the unknown tag @${name}; known are ${knownTags.map((known) => `@${known}`).join(" ")}`);
    else if (tags.has(name)) complain(reading, line, `${property.getName()} has @${name} twice`);
    else tags.set(name, tag);
  }
  return tags;
}

function readType(reading: Reading, name: string, property: PropertySignature, tags: ReadonlyMap<string, JSDocTag>, path: readonly InterfaceDeclaration[]): VarType {
  const node = property.getTypeNode();
  const written = node ? typeOf(reading, node, path) : undefined;
  if (!written) {
    complain(reading, property.getStartLineNumber(), `${name}: Ansible has no type for ${node ? node.getText() : "a property without type"}`);
    return { kind: "str" };
  }
  const misplaced = (tag: string, kind: string): void => {
    const found = tags.get(tag);
    if (found) complain(reading, found.getStartLineNumber(), `@${tag} of ${name}: only a ${kind} has it`);
  };
  if (written.kind !== "int") {
    misplaced("minimum", "number");
    misplaced("maximum", "number");
  }
  if (written.kind !== "str" || written.choices) {
    misplaced("format", "string");
    misplaced("raw", "string");
    return written.kind === "int" ? { kind: "int", ...bound(reading, name, tags, "minimum"), ...bound(reading, name, tags, "maximum") } : written;
  }
  const format = tags.get("format");
  if (format && tagText(format) !== "path") complain(reading, format.getStartLineNumber(), `@format of ${name}: the only one known is path`);
  if (format && tags.has("raw")) complain(reading, format.getStartLineNumber(), `${name} has @format and @raw; one of them is wrong`);
  return tags.has("raw") ? { kind: "raw" } : format ? { kind: "path" } : written;
}

function bound(reading: Reading, name: string, tags: ReadonlyMap<string, JSDocTag>, tag: "minimum" | "maximum"): { [bound in typeof tag]?: number } {
  const found = tags.get(tag);
  if (!found) return {};
  const value = tagText(found);
  if (/^-?\d+$/.test(value)) return { [tag]: Number(value) };
  complain(reading, found.getStartLineNumber(), `@${tag} of ${name}: "${value}" is no whole number`);
  return {};
}

function typeOf(reading: Reading, node: TypeNode, path: readonly InterfaceDeclaration[]): VarType | undefined {
  switch (node.getKind()) {
    case SyntaxKind.BooleanKeyword:
      return { kind: "bool" };
    case SyntaxKind.StringKeyword:
      return { kind: "str" };
    case SyntaxKind.NumberKeyword:
      return { kind: "int" };
  }
  if (Node.isParenthesizedTypeNode(node)) return typeOf(reading, node.getTypeNode(), path);
  if (Node.isArrayTypeNode(node)) {
    const elements = typeOf(reading, node.getElementTypeNode(), path);
    return elements && { kind: "list", elements };
  }
  if (Node.isUnionTypeNode(node)) {
    const kinds = node.getTypeNodes().map((member): "str" | "list" | "dict" | undefined =>
      member.getKind() === SyntaxKind.StringKeyword ? "str" : Node.isArrayTypeNode(member) ? "list" : Node.isTypeLiteral(member) ? "dict" : undefined,
    );
    if (kinds.includes("str") && !kinds.includes(undefined)) return { kind: "raw", also: kinds.flatMap((kind) => (kind === "list" || kind === "dict" ? [kind] : [])) };
    const choices = node.getTypeNodes().map((choice) => (Node.isLiteralTypeNode(choice) && Node.isStringLiteral(choice.getLiteral()) ? (choice.getLiteral() as { getLiteralText(): string }).getLiteralText() : undefined));
    return choices.every((choice) => choice !== undefined) ? { kind: "str", choices } : undefined;
  }
  if (Node.isTypeLiteral(node)) {
    const [member, ...others] = node.getMembers();
    const free = Node.isIndexSignatureDeclaration(member) && others.length === 0 && member.getKeyTypeNode().getText() === "string";
    const values = free ? member.getReturnTypeNode()?.getText().split("|").map((word) => word.trim()).sort().join(" ") : undefined;
    return values === "boolean number string" ? { kind: "map" } : undefined;
  }
  if (Node.isTypeReference(node) && node.getTypeArguments().length === 0) {
    // Only an interface of the model itself: to ts-morph Map and Date are interfaces too.
    const target = node.getSourceFile().getInterface(node.getText());
    if (!target || path.includes(target)) return undefined;
    return { kind: "dict", fields: readFields(reading, target, [...path, target]) };
  }
  return undefined;
}

function readValue(reading: Reading, owner: InterfaceDeclaration, name: string, type: VarType, tagName: string, tag: JSDocTag | undefined): Json | undefined {
  if (!tag) return undefined;
  const line = tag.getStartLineNumber();
  const what = `@${tagName} of ${name}`;
  const text = tagText(tag);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    complain(reading, line, `${what}: "${text}" is no JSON`);
    return undefined;
  }
  reading.questions.push({ scratchLine: reading.modelLines + reading.scratch.length + 1, line, what });
  reading.scratch.push(`({ ${JSON.stringify(name)}: ${JSON.stringify(value)} }) satisfies Pick<${owner.getName()}, ${JSON.stringify(name)}>;`);
  for (const fault of boundFaults(value, type, name)) complain(reading, line, `${what}: ${fault}`);
  return value;
}

/** What the compiler cannot say, for TypeScript knows neither integers nor bounds. Wrong types are the compiler's. */
function boundFaults(value: Json, type: VarType, name: string): string[] {
  switch (type.kind) {
    case "int":
      if (typeof value !== "number") return [];
      if (!Number.isInteger(value)) return [`${name} must be a whole number, not ${value}`];
      if (type.minimum !== undefined && value < type.minimum) return [`${name} must be at least ${type.minimum}, not ${value}`];
      if (type.maximum !== undefined && value > type.maximum) return [`${name} must be at most ${type.maximum}, not ${value}`];
      return [];
    case "list":
      return Array.isArray(value) ? (value as readonly Json[]).flatMap((item) => boundFaults(item, type.elements, name)) : [];
    case "dict":
      if (value === null || typeof value !== "object" || Array.isArray(value)) return [];
      return type.fields.flatMap((field) => {
        const item = (value as { readonly [key: string]: Json })[field.name];
        return item === undefined ? [] : boundFaults(item, field.type, `${name}.${field.name}`);
      });
    case "bool":
    case "map":
    case "path":
    case "raw":
    case "str":
      return [];
  }
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
    return { file: reading.file, line: question ? question.line : at, message: question ? `${question.what}: ${sentence}` : sentence };
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
