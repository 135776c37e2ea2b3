/**
 * What the examples that learn text share: the texts, a network of LSTMs, and a record of the loss over
 * the CPU time that training took.
 */
import * as lw from "layerwise";
import { option } from "./shared.js";

/** Sonnets 18, 73 and 116 of Shakespeare (1609): little to learn from, but it needs no file. */
const sonnets = `Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date:
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance, or nature's changing course, untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall Death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
So long as men can breathe, or eyes can see,
So long lives this, and this gives life to thee.

That time of year thou mayst in me behold
When yellow leaves, or none, or few, do hang
Upon those boughs which shake against the cold,
Bare ruin'd choirs, where late the sweet birds sang.
In me thou see'st the twilight of such day
As after sunset fadeth in the west;
Which by and by black night doth take away,
Death's second self, that seals up all in rest.
In me thou see'st the glowing of such fire,
That on the ashes of his youth doth lie,
As the death-bed, whereon it must expire,
Consum'd with that which it was nourish'd by.
This thou perceiv'st, which makes thy love more strong,
To love that well, which thou must leave ere long.

Let me not to the marriage of true minds
Admit impediments. Love is not love
Which alters when it alteration finds,
Or bends with the remover to remove:
O no! it is an ever-fixed mark
That looks on tempests and is never shaken;
It is the star to every wandering bark,
Whose worth's unknown, although his height be taken.
Love's not Time's fool, though rosy lips and cheeks
Within his bending sickle's compass come;
Love alters not with his brief hours and weeks,
But bears it out even to the edge of doom.
If this be error and upon me prov'd,
I never writ, nor no man ever lov'd.
`;

/** A text as numbers of characters: its first nine tenths, and the rest to measure on. */
export interface Characters {
  readonly tokenizer: lw.data.CharTokenizer;
  readonly train: Int32Array;
  readonly validation: Int32Array;
}

/** Tiny Shakespeare of `--data DIR` (`--data download` gets it, 1.1 MB), else the sonnets above. */
export async function characters(): Promise<Characters> {
  const data = option("data");
  const text =
    data === undefined
      ? sonnets
      : await lw.datasets.tinyShakespeare(data === "download" ? {} : { dir: data });
  const tokenizer = new lw.data.CharTokenizer({ padToken: null, unknownToken: null }).fit(text);
  const tokens = tokenizer.encode(text);
  const split = Math.floor(0.9 * tokens.length);
  return { tokenizer, train: tokens.subarray(0, split), validation: tokens.subarray(split) };
}

/**
 * The sonnets as a corpus of words, for a run without files. They have few words in common, so what is
 * measured here is what was learned by heart.
 */
export function sonnetWords(): { train: string[]; valid: string[]; test: string[] } {
  const poems = sonnets.split("\n\n").map((poem) =>
    poem
      .trim()
      .split("\n")
      .flatMap((line) => [...line.toLowerCase().match(/[a-z'-]+|[.,:;?!]/g)!, "<eos>"]),
  );
  return { train: poems.flat(), valid: poems[1]!, test: poems[2]! };
}

/** Minutes that all threads of this process have computed. */
export const cpuMinutes = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 60e6;
};

/** Losses by epoch, and the CPU minutes at which they were reached. */
export class LossRecord {
  readonly minutes: number[] = [];
  readonly training: number[] = [];
  readonly validation: number[] = [];
  readonly #begin = cpuMinutes();

  /** `perToken` makes what is printed of a loss, such as a perplexity. */
  constructor(
    readonly name: string,
    readonly perToken: (loss: number) => number = (loss) => loss,
  ) {}

  /** The callback that keeps the record and prints a line per epoch. */
  readonly callback: { onEpochEnd(epoch: number, logs?: lw.Logs): void } = {
    onEpochEnd: (epoch, logs) => {
      this.minutes.push(cpuMinutes() - this.#begin);
      this.training.push(this.perToken(logs!.loss!));
      this.validation.push(this.perToken(logs!.val_loss!));
      const [minutes, training, validation] = [this.minutes, this.training, this.validation].map(
        (values) => values.at(-1)!.toFixed(3),
      );
      console.log(
        `${this.name}, epoch ${epoch + 1}: ${training} in training, ${validation} in validation, ` +
          `after ${minutes} CPU minutes`,
      );
    },
  };

  /** The smallest loss in validation. */
  get best(): number {
    return Math.min(...this.validation);
  }
}

/** Sizes of {@link lstmNetwork}. */
export interface LstmSizes {
  readonly vocabulary: number;
  readonly units: number;
  readonly layers: number;
  /** Between layers, not from step to step (Zaremba et al. 2014). */
  readonly dropout: number;
}

/** Tokens [batch, steps] to scores [batch, steps, vocabulary], with states that go on. */
export function lstmNetwork({ vocabulary, units, layers, dropout }: LstmSizes): lw.Sequential {
  const network = lw.sequential([
    lw.layers.embedding({ inputDim: vocabulary, outputDim: 64, inputShape: [null] }),
  ]);
  for (let i = 0; i < layers; i++) {
    network.add(lw.layers.lstm({ units, returnSequences: true, stateful: true }));
    network.add(lw.layers.dropout({ rate: dropout }));
  }
  network.add(lw.layers.dense({ units: vocabulary }));
  return network;
}
