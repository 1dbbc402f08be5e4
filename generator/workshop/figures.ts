/** Several runs of the same. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly runs: number;
}

/** What a play costs the controller, for all hosts together; results and remote executions for one host. */
export interface ControllerCost {
  readonly cpu: Spread;
  readonly wall: Spread;
  readonly memory: Spread;
  readonly ok: number;
  readonly skipped: number;
  readonly included: number;
  readonly executions: number;
}

interface ProgramCost {
  readonly cpu: Spread;
  readonly wall: Spread;
}

type By<T> = { readonly [key: string]: T };

/** What was measured of one collection, as bench/controller.py and bench/host.py print it. */
export interface Figures {
  /** Name and version of the collection. */
  readonly title: string;
  readonly machine: string;
  /** By case, then by the number of hosts. */
  readonly controller: By<By<ControllerCost>>;
  /** By program, then by PFs x VFs. */
  readonly host: By<By<ProgramCost>>;
}

/** A row of the table: what is measured, and what each collection has. */
interface Row {
  readonly label: string;
  readonly cells: readonly string[];
}

type RowOf = (label: string, cell: (figures: Figures) => string | undefined) => Row;

/** What was measured, side by side: a column for each collection, with min, median and max where there are several runs. */
export function table(columns: readonly Figures[]): string {
  const row: RowOf = (label, cell) => ({ label, cells: columns.map((figures) => cell(figures) ?? "-") });
  const cases = keys(columns, ({ controller }) => controller);
  const programs = keys(columns, ({ host }) => host);
  const rows = [
    row("", ({ title }) => title),
    ...cases.flatMap((name) =>
      controllerRows(
        name,
        keys(columns, ({ controller }) => controller[name] ?? {}),
        row,
      ),
    ),
    ...programs.flatMap((name) => [
      row(`${name}, CPU ms (PFs x VFs of each)`, () => ""),
      ...keys(columns, ({ host }) => host[name] ?? {}).map((size) =>
        row(`  ${size}`, ({ host }) => spread(host[name]?.[size]?.cpu, 1000, 0)),
      ),
    ]),
  ];
  const first = Math.max(...rows.map(({ label }) => label.length));
  const widths = columns.map((_, index) => Math.max(...rows.map(({ cells }) => cells[index]!.length)));
  const line = ({ label, cells }: Row): string =>
    [label.padEnd(first), ...cells.map((cell, index) => cell.padStart(widths[index]!))].join("  ");
  return rows.map((one) => line(one).trimEnd()).join("\n");
}

function controllerRows(name: string, hosts: readonly string[], row: RowOf): Row[] {
  const of =
    (count: string) =>
    ({ controller }: Figures): ControllerCost | undefined =>
      controller[name]?.[count];
  // They are the same for any number of hosts.
  const any = ({ controller }: Figures): ControllerCost | undefined => Object.values(controller[name] ?? {}).at(-1);
  const counts = (cost: ControllerCost | undefined): string | undefined =>
    cost && [cost.ok, cost.skipped, cost.included].map(round).join(" / ");
  return [
    row(`${name} hosts: ok / skipped / included results of each`, (figures) => counts(any(figures))),
    row("  remote executions of each", (figures) => any(figures)?.executions.toString()),
    ...hosts.flatMap((count) => [
      row(`  ${count} hosts, CPU s of all`, (figures) => spread(of(count)(figures)?.cpu, 1, 1)),
      row(`  ${count} hosts, wall s`, (figures) => spread(of(count)(figures)?.wall, 1, 1)),
      row(`  ${count} hosts, MB of the largest process`, (figures) => spread(of(count)(figures)?.memory, 1, 0)),
    ]),
    row("  CPU s of each further host", ({ controller }) => perFurtherHost(controller[name] ?? {})?.toFixed(2)),
  ];
}

/** CPU seconds that one more host costs, between the smallest and the largest number of hosts that were measured. */
export function perFurtherHost(costs: By<ControllerCost>): number | undefined {
  const measured = Object.keys(costs)
    .map(Number)
    .sort((a, b) => a - b);
  const [few, many] = [measured[0], measured.at(-1)];
  if (few === undefined || many === undefined || few === many) return undefined;
  return (costs[many]!.cpu.median - costs[few]!.cpu.median) / (many - few);
}

/** The keys that any of the collections has, in the order in which they come. */
function keys<T>(columns: readonly Figures[], of: (figures: Figures) => By<T>): string[] {
  return [...new Set(columns.flatMap((figures) => Object.keys(of(figures))))];
}

function spread(values: Spread | undefined, factor: number, digits: number): string | undefined {
  if (values === undefined) return undefined;
  const rounded = (value: number): string => (value * factor).toFixed(digits);
  return values.runs === 1
    ? rounded(values.median)
    : `${rounded(values.median)} (${rounded(values.min)} to ${rounded(values.max)})`;
}

function round(count: number): string {
  return String(Math.round(count * 100) / 100);
}
