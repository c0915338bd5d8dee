/**
 * The error that a failing operator throws: libtorch's message, the operator, its schema and the shapes of its arguments.
 */
export class TorchError extends Error {
  override readonly name = "TorchError";
  /** For example `aten::add`. */
  readonly operator: string;
  /** The operator's signature. Empty for functions that are not operators. */
  readonly schema: string;
  /** Each argument as `name=Type[sizes]`. Empty when an argument could not be converted. */
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
