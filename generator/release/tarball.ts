import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import type { OutFile } from "../ir.js";

/** A member of a tarball; a folder has no content. */
export interface Member {
  readonly path: string;
  readonly folder: boolean;
  readonly executable: boolean;
  readonly content: Buffer;
}

const block = 512;
const kinds = { file: "0", folder: "5", extended: "x" } as const;

/**
 * The members of a tarball that `ansible-galaxy collection build` has made.
 *
 * @throws Error for what it does not make of our files: links, devices
 */
export function readTarball(bytes: Uint8Array): Member[] {
  const tar = gunzipSync(bytes);
  const members: Member[] = [];
  // Python writes what a header has no room for before it (POSIX pax): fractions of a second, and a long path.
  let longPath: string | undefined;
  for (let at = 0; at + block <= tar.length && tar[at] !== 0;) {
    const text = (from: number, length: number): string =>
      tar.toString("utf8", at + from, at + from + length).replace(/\0.*$/s, "");
    const size = Number.parseInt(text(124, 12).trim() || "0", 8);
    const kind = tar.toString("latin1", at + 156, at + 157);
    const prefix = text(345, 155);
    const path = (longPath ?? `${prefix === "" ? "" : `${prefix}/`}${text(0, 100)}`).replace(/\/$/, "");
    if (!Object.values<string>(kinds).includes(kind))
      throw new Error(`${path} in the tarball is neither file nor folder (type ${JSON.stringify(kind)})`);
    const content = Buffer.from(tar.subarray(at + block, at + block + size));
    if (kind === kinds.extended) longPath = /^\d+ path=(.*)$/m.exec(content.toString("utf8"))?.[1];
    else {
      members.push({
        path,
        folder: kind === kinds.folder,
        executable: (Number.parseInt(text(100, 8).trim(), 8) & 0o100) !== 0,
        content,
      });
      longPath = undefined;
    }
    at += block + Math.ceil(size / block) * block;
  }
  return members;
}

/**
 * A tarball whose bytes follow from its members and a time alone (reproducible-builds.org/docs/archives): sorted, owner
 * 0, modes 0644 and 0755, gzip without name and time.
 *
 * @param seconds the time of every member, since 1970
 * @throws Error for a path that a ustar header has no room for
 */
export function writeTarball(members: readonly Member[], seconds: number): Buffer {
  const sorted = [...members].sort((a, b) => (a.path < b.path ? -1 : 1));
  const parts = sorted.flatMap((member) => [
    header(member, seconds),
    member.content,
    Buffer.alloc((block - (member.content.length % block)) % block),
  ]);
  const packed = gzipSync(Buffer.concat([...parts, Buffer.alloc(2 * block)]), { level: 9 });
  // RFC 1952: time in bytes 4 to 7, operating system in byte 9; 255 is "unknown".
  packed.fill(0, 4, 8);
  packed[9] = 255;
  return packed;
}

function header({ path, folder, executable, content }: Member, seconds: number): Buffer {
  const head = Buffer.alloc(block);
  const name = folder ? `${path}/` : path;
  const [prefix, rest] = Buffer.byteLength(name) <= 100 ? ["", name] : split(name);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, "0")}\0`;
  head.write(rest, 0);
  head.write(octal(folder || executable ? 0o755 : 0o644, 8), 100);
  head.write(octal(0, 8), 108);
  head.write(octal(0, 8), 116);
  head.write(octal(content.length, 12), 124);
  head.write(octal(seconds, 12), 136);
  head.write("        ", 148);
  head.write(folder ? kinds.folder : kinds.file, 156);
  head.write("ustar\x0000", 257, "latin1");
  head.write(octal(0, 8), 329);
  head.write(octal(0, 8), 337);
  head.write(prefix, 345);
  head.write(
    `${octal(
      head.reduce((sum, byte) => sum + byte, 0),
      7,
    )} `,
    148,
    "latin1",
  );
  return head;
}

/** A long path in the header's two fields, 155 and 100 bytes, parted at a slash. */
function split(name: string): [prefix: string, rest: string] {
  for (let slash = name.indexOf("/"); slash > 0; slash = name.indexOf("/", slash + 1)) {
    const [prefix, rest] = [name.slice(0, slash), name.slice(slash + 1)];
    if (rest !== "" && Buffer.byteLength(rest) <= 100 && Buffer.byteLength(prefix) <= 155) return [prefix, rest];
  }
  throw new Error(`${name} is too long for a tarball`);
}

interface FilesManifest {
  readonly files: readonly { readonly name: string; readonly ftype: string; readonly chksum_sha256: string | null }[];
}

interface Manifest {
  readonly collection_info: { readonly namespace: string; readonly name: string; readonly version: string };
  readonly file_manifest_file: { readonly chksum_sha256: string };
}

const filesName = "FILES.json";
const manifestName = "MANIFEST.json";

/**
 * The members with FILES.json sorted: ansible-galaxy lists the files in the order of the folder on the disk, which is
 * another on another file system (ansible/galaxy/collection, _build_files_manifest_walk). MANIFEST.json has its sum.
 */
export function inOrder(members: readonly Member[]): Member[] {
  const files = parsed<FilesManifest>(members, filesName);
  const manifest = parsed<Manifest>(members, manifestName);
  const filesText = python({ ...files, files: [...files.files].sort((a, b) => (a.name < b.name ? -1 : 1)) });
  const manifestText = python({
    ...manifest,
    file_manifest_file: { ...manifest.file_manifest_file, chksum_sha256: sha256(filesText) },
  });
  return members.map((member) =>
    member.path === filesName
      ? { ...member, content: filesText }
      : member.path === manifestName
        ? { ...member, content: manifestText }
        : member,
  );
}

/**
 * What is wrong with a collection's tarball: sentences, none when it holds what was wanted and nothing else, and its own
 * lists agree with it.
 *
 * @param wanted the collection's files, galaxy.yml among them, which becomes MANIFEST.json
 */
export function tarballFaults(members: readonly Member[], wanted: readonly OutFile[]): string[] {
  const there = new Map(members.filter(({ folder }) => !folder).map((member) => [member.path, member]));
  const expected = new Map(wanted.filter(({ path }) => path !== "galaxy.yml").map((file) => [file.path, file]));
  const own = [manifestName, filesName];
  const missingOwn = own.filter((path) => !there.has(path));
  if (missingOwn.length > 0) return missingOwn.map((path) => `${path} is not in the tarball`);
  const files = parsed<FilesManifest>(members, filesName);
  const manifest = parsed<Manifest>(members, manifestName);
  const listed = new Map(files.files.map((entry) => [entry.name, entry]));
  return [
    ...[...there.keys()]
      .filter((path) => !expected.has(path) && !own.includes(path))
      .map((path) => `${path} is in the tarball and does not belong there`),
    ...[...expected].flatMap(([path, file]) => {
      const member = there.get(path);
      if (!member) return [`${path} is not in the tarball`];
      if (!member.content.equals(Buffer.from(file.text))) return [`${path} in the tarball is not what was generated`];
      return member.executable === (file.executable === true)
        ? []
        : [`${path} in the tarball ${member.executable ? "is" : "is not"} executable`];
    }),
    ...members.flatMap(({ path, folder, content }) => {
      if (own.includes(path)) return [];
      const entry = listed.get(path);
      if (!entry) return [`${path} is not in ${filesName}`];
      return folder || entry.chksum_sha256 === sha256(content) ? [] : [`${filesName} has another sum of ${path}`];
    }),
    ...[...listed.keys()]
      .filter((path) => path !== "." && !members.some((member) => member.path === path))
      .map((path) => `${filesName} lists ${path}, which is not in the tarball`),
    ...(manifest.file_manifest_file.chksum_sha256 === sha256(there.get(filesName)!.content)
      ? []
      : [`${manifestName} has another sum of ${filesName}`]),
  ];
}

export function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function parsed<T>(members: readonly Member[], path: string): T {
  const member = members.find((candidate) => candidate.path === path);
  if (!member) throw new Error(`${path} is not in the tarball`);
  return JSON.parse(member.content.toString("utf8")) as T;
}

/** As Python's json.dumps(..., indent=True) writes it. */
function python(value: unknown): Buffer {
  const ascii = JSON.stringify(value, null, 1).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return Buffer.from(ascii);
}
