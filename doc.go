// Package attune is the vocabulary of the service: packs, actions, executions, policies, secrets and the errors
// that users see. All other packages, the API, the database and the documentation use these words.
//
// The package depends on the standard library alone and knows none of the packages that use it. Data flows one way:
//
//	cmd/attune → api → scheduler → sandbox, imagebuilder → storage → migrations
package attune
