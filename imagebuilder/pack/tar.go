package pack

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow bounds the memory that a zstd stream may ask for. "zstd -19" needs this much, "--ultra" more.
const maxZstdWindow = 8 << 20

// Modes as tar writes them.
const (
	modeSetuid, modeSetgid = 0o4000, 0o2000
	modeOwnerExecutes      = 0o100
)

func (u *unpacker) readGzip(archive io.Reader) error {
	stream, err := gzip.NewReader(archive)
	if err != nil {
		return damaged(err)
	}
	return u.readTar(metered{u, stream})
}

func (u *unpacker) readZstd(archive io.Reader) error {
	stream, err := zstd.NewReader(archive, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return damaged(err)
	}
	defer stream.Close()
	return u.readTar(metered{u, stream})
}

// readTar takes every entry of a tar stream.
func (u *unpacker) readTar(stream io.Reader) error {
	entries := tar.NewReader(stream)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return u.endTar(stream)
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // cleanName checks names
			return damaged(err)
		}
		if err := u.count(); err != nil {
			return err
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue // "git archive" leaves a comment in one
		}
		if wrong := wrongHeader(header); wrong != "" {
			u.problem(header.Name, "%s", wrong)
			continue
		}
		err = u.take(packEntry{
			name: header.Name, dir: header.Typeflag == tar.TypeDir, executable: header.Mode&modeOwnerExecutes != 0,
			size: header.Size, content: entries,
		})
		if err != nil {
			return damagedTar(err)
		}
	}
}

// damagedTar also recognizes the errors of the tar reader itself.
func damagedTar(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		return damaged(err)
	}
	return err
}

// endTar reads to the end, so that the compression's checksum is verified, and accepts only padding.
func (u *unpacker) endTar(stream io.Reader) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := stream.Read(buffer)
		for _, b := range buffer[:n] {
			if b != 0 {
				u.problem("", "has something behind its end")
				return errStop
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
	}
}

// wrongHeader says why an entry cannot be part of a pack, whatever its name is.
func wrongHeader(h *tar.Header) string {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return sparseFile
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Mode&(modeSetuid|modeSetgid) != 0 {
			return setuidFile
		}
		return ""
	case tar.TypeDir: // a set group id is common on folders that several people share, and is not kept
		if h.Mode&modeSetuid != 0 {
			return setuidFile
		}
		return ""
	case tar.TypeSymlink:
		return symbolicLink
	case tar.TypeLink:
		return "is a hard link; put a copy of the file in its place"
	case tar.TypeGNUSparse:
		return sparseFile
	default:
		return specialFile
	}
}

const (
	symbolicLink = "is a symbolic link; put a copy of the file in its place"
	setuidFile   = "has the setuid or setgid bit; take it away with chmod u-s,g-s"
	sparseFile   = "is stored as a sparse file; pack it without --sparse"
	specialFile  = "is a device, a pipe or something else that is no file; leave it out"
)
