import { strictEqual } from "node:assert/strict";
import { backports } from "../generator/apt.js";
import { commandLine } from "../generator/setup.js";

const list = (text: string) => [{ path: "/etc/apt/sources.list", text }];
const sources = (text: string) => [{ path: "/etc/apt/sources.list.d/debian.sources", text }];

describe("the backports of a release come from where the release comes from", () => {
  it("written as a line, with its options", () => {
    strictEqual(
      backports(list("# a\ndeb-src http://m/debian bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] http://m/debian bookworm main contrib # x\n"), "bookworm"),
      "Types: deb\nURIs: http://m/debian\nSuites: bookworm-backports\nComponents: main\nArchitectures: amd64\nSigned-By: /k.gpg\n",
    );
  });
  it("written as a stanza, with the key in it", () => {
    strictEqual(
      backports(sources("# c\nTypes: deb deb-src\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n -----END\n\nTypes: deb\nURIs: http://m/security\nSuites: bookworm-security\nComponents: main\n"), "bookworm"),
      "Types: deb\nURIs: http://m/debian\nSuites: bookworm-backports\nComponents: main\nSigned-By: \n -----BEGIN\n .\n -----END\n",
    );
  });
  it("unless they are there", () => {
    strictEqual(backports(list("deb http://m/debian bookworm main\ndeb http://m/debian bookworm-backports main\n"), "bookworm"), "present");
  });
  it("a source that is switched off is none", () => {
    strictEqual(backports(sources("Enabled: no\nTypes: deb\nURIs: http://m\nSuites: bookworm-backports\nComponents: main\n"), "bookworm"), undefined);
  });
  it("a source of the vendor's is not the release", () => strictEqual(backports(list("deb http://m/x stable main\n"), "bookworm"), undefined));
});

describe(commandLine.name, () => {
  it("is what a person types", () => {
    strictEqual(
      commandLine({ file: { path: "/etc/apt/x.sources", text: "Types: deb\n" }, commands: [{ file: "apt-get", args: ["install", "a"], env: { DEBIAN_FRONTEND: "noninteractive" } }] }),
      "printf %s 'Types: deb\n' | sudo tee /etc/apt/x.sources >/dev/null && sudo DEBIAN_FRONTEND=noninteractive apt-get install a",
    );
  });
});
