/**
 * What a failing operator throws: libtorch's sentence, with the operator, its schema and the shapes it was given.
 */
export class TorchError extends Error {
  override readonly name = "TorchError";
  /** Such as `aten::add`. */
  readonly operator: string;
  /** The operator's signature; empty for functions that are not operators. */
  readonly schema: string;
  /** Each argument as `name=Type[sizes]`; empty when an argument could not be converted. */
  readonly argumentShapes: string;

  constructor(operator: string, schema: string, argumentShapes: string, detail: string) {
    const lines = [`${operator}: ${detail.trim()}`];
    if (argumentShapes) lines.push(`  given: ${argumentShapes}`);
    if (schema) lines.push(`  schema: ${schema}`);
    super(lines.join("\n"));
    this.operator = operator;
    this.schema = schema;
    this.argumentShapes = argumentShapes;
  }
}
