// Requests out of an OpenAPI document, good and bad, and the check of what is answered.
import assert from 'node:assert/strict';
import Ajv2020 from 'ajv/dist/2020.js';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'patch'];

/** A value of each type that JSON has. */
const samples = {
  null: null,
  boolean: true,
  integer: 7,
  number: 1.5,
  string: 'text',
  array: [],
  object: {},
};

export class Api {
  constructor(document) {
    this.document = document;
    this.ajv = new Ajv2020({ strict: false, allErrors: true });
    this.ajv.addSchema(document, 'api');
    /** { path, method, operation, app } of each. */
    this.operations = Object.entries(document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => ({
        path,
        method: method.toUpperCase(),
        ...item[method],
        parameters: (item[method].parameters ?? []).map((p) => this.resolve(p)),
      })),
    );
  }

  resolve(thing) {
    if (!thing?.$ref) return thing;
    const parts = thing.$ref.replace(/^#\//, '').split('/');
    return this.resolve(parts.reduce((at, part) => at[part], this.document));
  }

  /** The methods of a path as the server names them in Allow. */
  methodsOf(path) {
    const methods = this.operations.filter((o) => o.path === path).map((o) => o.method);
    return methods.flatMap((m) => (m === 'GET' ? ['GET', 'HEAD'] : [m]));
  }

  content(operation) {
    return operation.requestBody?.content['application/json'];
  }

  bodySchema(operation) {
    return this.resolve(this.content(operation)?.schema);
  }

  #check(schema, value, what) {
    const valid = this.ajv.validate(schema, value);
    assert.ok(valid, `${what}: ${this.ajv.errorsText()}\n${JSON.stringify(value)}`);
  }

  /** An answer must be one of those that the operation declares: by status, type, headers, schema. */
  check(operation, reply, what) {
    const declared = this.resolve(operation.responses[reply.status]);
    assert.ok(declared, `${what}: ${reply.status} is not declared\n${reply.text}`);
    for (const [name, header] of Object.entries(declared.headers ?? {})) {
      const { schema } = this.resolve(header);
      const value = reply.headers[name.toLowerCase()];
      if (value !== undefined)
        this.#check(schema, schema.type === 'integer' ? Number(value) : value, `${what}: ${name}`);
    }
    if (!declared.content) return;
    const [type, content] = Object.entries(declared.content)[0];
    assert.equal(reply.headers['content-type'].split(';')[0], type, what);
    const value = type.endsWith('json') ? reply.json() : reply.text;
    const { schema } = content;
    this.#check(schema.$ref ? { $ref: `api${schema.$ref}` } : schema, value, what);
  }

  /** A problem, whatever was asked. */
  checkProblem(reply, status, code, what) {
    assert.equal(reply.status, status, `${what}: ${reply.text}`);
    assert.equal(reply.headers['content-type'], 'application/problem+json', what);
    const problem = reply.json();
    this.#check({ $ref: 'api#/components/schemas/Problem' }, problem, what);
    assert.equal(problem.status, status, what);
    if (code) assert.equal(problem.code, code, `${what}: ${reply.text}`);
    return problem;
  }

  /** A body in which all is as short as it may be. */
  least(schemaOrRef) {
    const schema = this.resolve(schemaOrRef);
    if (schema.oneOf && schema.properties) return this.leastObject(schema, schema.oneOf[0].required);
    if (schema.type === 'object') return this.leastObject(schema, schema.required);
    if (schema.type === 'string') return 'x'.repeat(schema.minLength ?? 0);
    if (schema.type === 'integer') return Math.floor(Date.now() / 1000) + 1000;
    return schema.type === 'array' ? [] : null;
  }

  leastObject(schema, required) {
    return Object.fromEntries(required.map((name) => [name, this.least(schema.properties[name])]));
  }

  /** Good bodies: the example, the least, one with more than is known. */
  goodBodies(operation) {
    const { example } = this.content(operation);
    const schema = this.bodySchema(operation);
    const good = [example, this.least(schema)];
    if (schema.type === 'array') good.push([...example, ...example, this.least(schema.items)]);
    else good.push({ unknown: [{}], ...example });
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      const { type } = this.resolve(property);
      if (!type) for (const value of Object.values(samples)) good.push({ ...example, [name]: value });
      if (type === 'array') good.push({ ...example, [name]: ['a', 'b', 'a'] });
    }
    return good.map((body) => JSON.stringify(body));
  }

  /** Bad ones with the code and the place that they are to be refused for. */
  badBodies(operation) {
    const schema = this.bodySchema(operation);
    const { example } = this.content(operation);
    const isArray = schema.type === 'array';
    const bad = [];
    if (operation.requestBody.required) bad.push(['', 'malformed_json']);
    for (const text of ['{', 'nonsense', '{"a":1,}', `${JSON.stringify(example)}x`, '\u00ff\u0000'])
      bad.push([text, 'malformed_json']);
    bad.push(['['.repeat(600) + ']'.repeat(600), 'too_deep']);
    for (const [type, value] of Object.entries(samples))
      if (type !== schema.type) bad.push([JSON.stringify(value), 'wrong_type']);

    const objectSchema = isArray ? this.resolve(schema.items) : schema;
    const object = isArray ? example[0] : example;
    const wrap = (o) => JSON.stringify(isArray ? [object, o] : o);
    const at = (name) => (isArray ? `/1/${name}` : `/${name}`);
    if (isArray)
      for (const type of ['null', 'string', 'array'])
        bad.push([JSON.stringify([object, samples[type]]), 'wrong_type', '/1']);
    for (const name of objectSchema.required ?? []) {
      const { [name]: _, ...rest } = object;
      bad.push([wrap(rest), 'missing_member', at(name)]);
    }
    for (const [name, ref] of Object.entries(objectSchema.properties)) {
      const property = this.resolve(ref);
      const allowed = [property.type ?? Object.keys(samples)].flat();
      for (const [type, value] of Object.entries(samples)) {
        const fits = allowed.includes(type) || (type === 'integer' && allowed.includes('number'));
        if (!fits) bad.push([wrap({ ...object, [name]: value }), 'wrong_type', at(name)]);
      }
      if (property.minLength)
        bad.push([wrap({ ...object, [name]: '' }), 'empty_member', at(name)]);
      if (property.type === 'array')
        bad.push([wrap({ ...object, [name]: ['a', 1] }), 'wrong_type', at(name)]);
      if (name in object) {
        const twice = wrap(object).replace(/\{/g, `{"${name}":${JSON.stringify(object[name])},`);
        if (!isArray) bad.push([twice, 'duplicate_member', at(name)]);
      }
    }
    return bad;
  }
}
