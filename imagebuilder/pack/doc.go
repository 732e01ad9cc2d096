// Package pack reads what people upload: it unpacks an archive, refuses what is unsafe in it, and checks the files by
// which the pack describes itself. It names every problem at once, each with its file, line and field.
//
// An upload needs nothing else, so this package must not know how packs are built, run or stored: it imports neither
// containerd nor storage, and it builds on every system.
//
// Start reading in archive.go: Open unpacks (unpack.go, with tar.go and zip.go for the formats and names.go for what an
// entry may be called), then reads the manifest (manifest.go, then one file for each part of it). schema.json has the
// names, bounds and forms of all fields; value.go and scalars.go read a file by it. WriteTarZst writes the one form in
// which archives are stored.
package pack
