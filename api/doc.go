// Package api is the service's face to programs: REST under /api/v1 with its OpenAPI document, and the few routes
// beside it that operators need.
//
// A request passes the middleware in this order: id, access log and metrics, panics, security headers, authentication,
// router, role, strict input. A handler then asks the rooms below and keeps to the packs of the caller's token. Their
// errors become problem documents in one function, problemFor.
//
// The package must not know SQL or containerd, nor how the process is configured.
//
// Start reading at New, then in the file of a noun, such as secrets.go: its inputs, its operations, its handlers. The
// role that each operation needs is in auth.go.
package api
