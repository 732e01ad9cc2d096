// Package storagetest gives each test a database and buckets of its own on the real services, and removes them when the
// test ends. A service that is missing fails the test.
//
// It must not know the rooms above storage. Start reading at OpenDB and OpenLogs.
package storagetest
