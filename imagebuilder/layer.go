package imagebuilder

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/containerd/v2/pkg/rootfs"
	"github.com/containerd/errdefs"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// stack is an image's layers, the lowest first.
type stack []rootfs.Layer

func (s stack) diffIDs() []digest.Digest {
	ids := make([]digest.Digest, len(s))
	for i, layer := range s {
		ids[i] = layer.Diff.Digest
	}
	return ids
}

// chainID is the name of the snapshot with all layers; it is empty for no layers.
func (s stack) chainID() string { return identity.ChainID(s.diffIDs()).String() }

// with returns a new stack with a layer on top.
func (s stack) with(layer rootfs.Layer) stack { return append(s[:len(s):len(s)], layer) }

// epoch is the time of all files that Attune writes itself, so that the same files make the same layer.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// compress compresses what produce writes, and returns the digest of the uncompressed bytes.
func compress(w io.Writer, level zstd.EncoderLevel, produce func(io.Writer) error) (digest.Digest, error) {
	packed, err := zstd.NewWriter(w, zstd.WithEncoderLevel(level))
	if err != nil {
		return "", err
	}
	diff := digest.Canonical.Digester()
	err = errors.Join(produce(io.MultiWriter(packed, diff.Hash())), packed.Close())
	return diff.Digest(), err
}

// writeLayer puts a layer into the content store, compressed while it is produced. The context must hold a lease.
func (b *Builder) writeLayer(ctx context.Context, tags map[string]string,
	produce func(io.Writer) error,
) (rootfs.Layer, error) {
	return b.storeLayer(ctx, tags, func(w io.Writer) (digest.Digest, error) {
		return compress(w, zstd.SpeedFastest, produce)
	})
}

// storeLayer puts a layer that is already compressed into the content store. The context must hold a lease.
func (b *Builder) storeLayer(
	ctx context.Context, tags map[string]string, write func(io.Writer) (diff digest.Digest, err error),
) (_ rootfs.Layer, err error) {
	store := b.client.ContentStore()
	ref := "attune-layer-" + uuid.NewString()
	writer, err := store.Writer(ctx, content.WithRef(ref))
	if err != nil {
		return rootfs.Layer{}, fmt.Errorf("write layer: %w", err)
	}
	defer func() {
		err = errors.Join(err, writer.Close())
		if err != nil {
			ctx, cancel := cleanupContext(ctx)
			defer cancel()
			_ = store.Abort(ctx, ref) // garbage collection removes the rest after the lease
		}
	}()
	diff, err := write(writer)
	if err != nil {
		return rootfs.Layer{}, fmt.Errorf("write layer: %w", err)
	}
	tagged := map[string]string{labels.LabelUncompressed: diff.String()}
	maps.Copy(tagged, tags)
	blob := writer.Digest()
	// Told which digest to expect, containerd would not lease a blob that exists.
	if err := writer.Commit(ctx, 0, "", content.WithLabels(tagged)); err != nil && !errdefs.IsAlreadyExists(err) {
		return rootfs.Layer{}, fmt.Errorf("commit layer: %w", err)
	}
	info, err := store.Info(ctx, blob)
	if err != nil {
		return rootfs.Layer{}, fmt.Errorf("look up layer: %w", err)
	}
	return layerOf(blob, info.Size, diff), nil
}

func layerOf(blob digest.Digest, size int64, diff digest.Digest) rootfs.Layer {
	return rootfs.Layer{
		Diff: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diff},
		Blob: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerZstd, Digest: blob, Size: size},
	}
}

// apply unpacks a layer on a stack unless its snapshot exists.
func (b *Builder) apply(ctx context.Context, below stack, layer rootfs.Layer) (stack, error) {
	result := below.with(layer)
	err := b.untilKept(ctx, result.chainID(), func() error {
		_, err := rootfs.ApplyLayer(ctx, layer, below.diffIDs(), b.snapshots(), b.client.DiffService())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("apply layer: %w", err)
	}
	return result, nil
}

// tarFiles writes the regular files and folders of a tree: owned by root, readable by all, with one time for every
// file.
func tarFiles(w *tar.Writer, tree fs.FS, target string) error {
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := path.Join(target, name)[1:]
		if entry.IsDir() {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: place + "/", Mode: 0o755, ModTime: epoch})
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a folder", name)
		}
		return tarFile(w, tree, name, place)
	})
}

func tarFile(w *tar.Writer, tree fs.FS, name, place string) error {
	file, err := tree.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := w.WriteHeader(&tar.Header{Name: place, Mode: mode, Size: info.Size(), ModTime: epoch}); err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return err
}
