/** What is wrong with a pattern and what to write, each without a final stop. */
export class GlobMistake extends Error {
  readonly wrong: string;
  readonly instead: string;

  constructor(wrong: string, instead: string) {
    super(`${wrong}. ${instead}`);
    this.name = 'GlobMistake';
    this.wrong = wrong;
    this.instead = instead;
  }
}
