// Package attune is the vocabulary of the service: packs, actions, executions, policies, secrets and the errors
// people meet. Every other package speaks in these words, and so do the API, the database and the documentation.
//
// The package depends on the standard library alone and knows none of the packages that use it. Data flows one way:
//
//	cmd/attune → api → scheduler → sandbox, imagebuilder → storage → migrations
package attune
