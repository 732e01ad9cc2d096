// Command testservices runs a command, such as go test, with a PostgreSQL, a MinIO and a containerd of its own:
//
//	go run ./internal/testservices -- go test ./...
//
// The command finds them in these variables. Its exit status is ours.
//
//	ATTUNE_TEST_DATABASE_URL         of a superuser
//	ATTUNE_TEST_S3_ENDPOINT          with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
//	ATTUNE_TEST_CONTAINERD_ADDRESS   the socket
//	ATTUNE_TEST_BIN_DIR              containerd, its shim, ctr, runc, minio, CNI plugins
//	PATH                             begins with bin, where make build leaves attune-shim
//	ATTUNE_CACHE_DIR                 what is kept from one run to the next
//	TMPDIR                           removed at the end
//
// A container, mount, process or control group that the command leaves behind is named and removed, and fails the run:
// a test cleans up after itself.
//
// There are two processes. The inner one starts the daemons and the command in a mount namespace of its own, so every
// mount in it is theirs. The outer one is the parent of all processes that lose theirs, so every process that is left
// below it is theirs, too. It outlives the inner one and cleans up, whatever happened.
//
// It must not know what the command tests. Start reading in main.go, then serve.go and leftovers.go.
package main
