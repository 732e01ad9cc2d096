// Package migrations holds the database schema as numbered SQL files and brings a database up to date with them.
//
// Migrations only go forward. A mistake is corrected by the next migration, never by undoing the last one.
//
// The package must not know any other room. Start reading in 002_scheduling.sql, which has the tables of the queue.
package migrations
