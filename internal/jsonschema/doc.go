// Package jsonschema checks JSON against the schemas that pack authors write, and says what is wrong in words that
// people can act on. It must not know packs or executions. Start reading at Compile and Apply.
//
// Schemas are JSON Schema 2020-12 with a few more rules, so that neither a typo nor an attack passes silently: an
// unknown keyword is refused (unless it starts with x-), a $ref stays within the document and does not recurse, the
// size is bounded, and "format" is checked. A schema that has "properties" at its top level, and says nothing about
// others, accepts no others.
//
// The library reads schemas, and a checker of our own goes through documents with them: it stops after maxProblems and
// maxWork, and with its context, and takes little more memory than the document.
package jsonschema
