import { Listr, PRESET_TIMER } from "listr2";

/** Something that takes a while; it reports its progress through `say`. */
export interface Job {
  readonly title: string;
  readonly work: (say: (line: string) => void) => Promise<void>;
}

/**
 * Do the jobs, and show how far they are: moving lines on a terminal, plain lines elsewhere. A job that throws is
 * shown as failed, the others go on, and the first error is thrown at the end.
 *
 * @param atOnce how many jobs at the same time
 */
export async function progress(jobs: readonly Job[], atOnce = 1): Promise<void> {
  const list = new Listr(
    jobs.map(({ title, work }) => ({
      title,
      task: async (_: unknown, task: { output: string }): Promise<void> => work((line) => (task.output = line)),
    })),
    {
      concurrent: atOnce > 1 ? atOnce : false,
      exitOnError: false,
      collectErrors: "minimal",
      registerSignalListeners: false,
      rendererOptions: { timer: PRESET_TIMER, collapseErrors: false, showErrorMessage: true },
      fallbackRenderer: "simple",
      fallbackRendererOptions: { timer: PRESET_TIMER },
    },
  );
  await list.run();
  const [error] = list.errors;
  if (error) throw error;
}
