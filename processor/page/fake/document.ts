// As much of a document as elements.js asks for. What it holds can be read as HTML, with all text escaped as a browser holds it.

export class FakeElement {
  readonly tag: string;
  readonly attributes: Record<string, string> = {};
  readonly children: (FakeElement | string)[] = [];

  constructor(tag: string) {
    this.tag = tag;
  }

  setAttribute(name: string, value: string): void {
    this.attributes[name] = String(value);
  }

  append(...children: (FakeElement | string)[]): void {
    this.children.push(...children);
  }

  /** All elements in it, itself first. */
  all(): FakeElement[] {
    return [this, ...this.children.flatMap((child) => (typeof child === 'string' ? [] : child.all()))];
  }

  text(): string {
    return this.children.map((child) => (typeof child === 'string' ? child : child.text())).join('');
  }
}

export const fakeDocument = { createElement: (tag: string) => new FakeElement(tag) };
