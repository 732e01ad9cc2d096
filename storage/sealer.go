package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Sealer encrypts under the key file of an installation. The file is a Tink keyset: its primary key seals, all its keys
// open, so that a key is rotated by adding a new primary one and kept as long as something is sealed under it.
type Sealer struct{ primitive tink.AEAD }

// CreateKeyFile makes a key file with one AES256-GCM key and mode 0600. It is atomic, and leaves a file that is already
// there alone: losing it would lose every secret.
func CreateKeyFile(path string) (err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("make key file: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.Write(text.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	// A link, unlike a rename, fails where another process was faster.
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("put key file in place: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// NewSealer reads a key file, which only its owner may be able to read.
func NewSealer(keyFile string) (*Sealer, error) {
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("find key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("key file %s has mode %#o: others can read it; set it to 0600", keyFile, mode)
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("parse key file %s: %w", keyFile, err)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("use key file %s: %w", keyFile, err)
	}
	return &Sealer{primitive}, nil
}

// Seal encrypts plaintext. Only Open with the same label gets it back.
func (s *Sealer) Seal(plaintext []byte, label string) ([]byte, error) {
	sealed, err := s.primitive.Encrypt(plaintext, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", label, err)
	}
	return sealed, nil
}

// Open decrypts what Seal returned.
func (s *Sealer) Open(sealed []byte, label string) ([]byte, error) {
	plaintext, err := s.primitive.Decrypt(sealed, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", label, err)
	}
	return plaintext, nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
