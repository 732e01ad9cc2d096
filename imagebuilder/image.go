package imagebuilder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	containerdimages "github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"attune"
)

// Image is a pack's image on this host.
type Image struct {
	// Digest is the digest of the OCI manifest.
	Digest string
	// Name is what containerd lists it as.
	Name string
}

const (
	packPrefix = "attune.local/packs/"
	basePrefix = "attune.local/base:"

	packLabel    = "attune.dev/pack"
	versionLabel = "attune.dev/version"
)

// packImageName is the name of a pack's image. A tag cannot have the plus sign of build metadata.
func packImageName(ref, version string, manifest digest.Digest) string {
	return packPrefix + ref + ":" + strings.ReplaceAll(version, "+", "_") + "-" + manifest.Encoded()[:12]
}

// writeImage writes configuration and manifest of a stack. The configuration has only the layers: user, environment and
// command come from the sandbox. The context must hold a lease.
func (b *Builder) writeImage(ctx context.Context, layers stack,
	annotations map[string]string,
) (ocispec.Descriptor, error) {
	config := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: b.definition.Architecture},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: layers.diffIDs()},
	}
	// Garbage collection follows these labels: from the manifest to its parts, from the configuration to the snapshot.
	configDescriptor, err := b.writeJSON(ctx, ocispec.MediaTypeImageConfig, config, map[string]string{
		"containerd.io/gc.ref.snapshot." + b.config.Snapshotter: layers.chainID(),
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      configDescriptor,
		Annotations: annotations,
	}
	refs := map[string]string{"containerd.io/gc.ref.content.config": configDescriptor.Digest.String()}
	for i, layer := range layers {
		manifest.Layers = append(manifest.Layers, layer.Blob)
		refs["containerd.io/gc.ref.content.l."+strconv.Itoa(i)] = layer.Blob.Digest.String()
	}
	return b.writeJSON(ctx, ocispec.MediaTypeImageManifest, manifest, refs)
}

func (b *Builder) writeJSON(ctx context.Context, mediaType string, value any,
	tags map[string]string,
) (ocispec.Descriptor, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("write image: %w", err)
	}
	descriptor := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	store := b.client.ContentStore()
	for range keepTries {
		err := content.WriteBlob(ctx, store, "attune-"+descriptor.Digest.String(), bytes.NewReader(text), descriptor,
			content.WithLabels(tags))
		if err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("write image: %w", err)
		}
		if kept, err := b.keepContent(ctx, descriptor.Digest); kept || err != nil {
			return descriptor, err
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("write image: blob %s is collected again and again", descriptor.Digest)
}

// name gives an image a name in containerd, which keeps it from then on.
func (b *Builder) name(ctx context.Context, name string, target ocispec.Descriptor, tags map[string]string) error {
	record := containerdimages.Image{Name: name, Target: target, Labels: tags}
	_, err := b.client.ImageService().Create(ctx, record)
	if errdefs.IsAlreadyExists(err) {
		_, err = b.client.ImageService().Update(ctx, record)
	}
	if err != nil {
		return fmt.Errorf("name image %s: %w", name, err)
	}
	return nil
}

// namePackImage names a pack's image after the pack and its version.
func (b *Builder) namePackImage(ctx context.Context, m attune.Manifest, target ocispec.Descriptor) (Image, error) {
	name := packImageName(m.Ref, m.Version, target.Digest)
	err := b.name(ctx, name, target, map[string]string{packLabel: m.Ref, versionLabel: m.Version, ownerLabel: b.owner})
	return Image{Digest: target.Digest.String(), Name: name}, err
}

// readStack returns the layers of an image that is complete and unpacked on this host. Where any part is missing, the
// error is errdefs.ErrNotFound.
func (b *Builder) readStack(ctx context.Context, target ocispec.Descriptor) (stack, error) {
	store := b.client.ContentStore()
	manifest, err := containerdimages.Manifest(ctx, store, target, nil)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	diffIDs, err := containerdimages.RootFS(ctx, store, manifest.Config)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	if len(diffIDs) != len(manifest.Layers) {
		return nil, errors.New("image has layers without an id")
	}
	var layers stack
	for i, blob := range manifest.Layers {
		if _, err := store.Info(ctx, blob.Digest); err != nil {
			return nil, fmt.Errorf("look up layer: %w", err)
		}
		layers = layers.with(layerOf(blob.Digest, blob.Size, diffIDs[i]))
	}
	if _, err := b.snapshots().Stat(ctx, layers.chainID()); err != nil {
		return nil, fmt.Errorf("look up snapshot: %w", err)
	}
	return layers, nil
}

// Has reports whether a run can use the image with this manifest digest.
func (b *Builder) Has(ctx context.Context, imageDigest string) (bool, error) {
	ctx = b.context(ctx)
	found, err := b.client.ImageService().List(ctx, "target.digest=="+imageDigest)
	if errdefs.IsUnavailable(err) {
		return false, &attune.Error{Code: attune.CodeUnavailable, Message: "containerd does not answer", Cause: err}
	}
	if err != nil {
		return false, fmt.Errorf("look up image: %w", err)
	}
	if len(found) == 0 {
		return false, nil
	}
	_, err = b.readStack(ctx, found[0].Target)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Collect removes the pack images whose digest is not in keep, and outdated base images, with the layers and snapshots
// that no other image needs. Images of other builders stay.
func (b *Builder) Collect(ctx context.Context, keep []string) error {
	ctx = b.context(ctx)
	all, err := b.client.ImageService().List(ctx, fmt.Sprintf("labels.%q==%s", ownerLabel, b.owner))
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for _, image := range all {
		if slices.Contains(keep, image.Target.Digest.String()) || image.Name == b.baseName() {
			continue
		}
		if err := b.client.ImageService().Delete(ctx, image.Name); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("delete image %s: %w", image.Name, err)
		}
	}
	return nil
}

// hashOf returns the digest of a value's JSON.
func hashOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // only for types without a JSON form
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:32]
}
