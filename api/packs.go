package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"attune"
	"attune/storage/logs"
)

// packInput names a pack in the path.
type packInput struct {
	Ref string `path:"ref" maxLength:"63" example:"weather" doc:"The pack's ref."`
}

// The inputs below repeat fields, since huma does not look into embedded types that are not exported.

type installationLogInput struct {
	Ref    string `path:"ref" maxLength:"63" example:"weather" doc:"The pack's ref."`
	Offset int64  `query:"offset" minimum:"0" default:"0" doc:"The byte to begin at; next_offset of the page before."`
	Limit  int64  `query:"limit" minimum:"1" maximum:"1048576" default:"65536" doc:"The most bytes to return."`
}

type installInput struct {
	Ref  string `path:"ref" maxLength:"63" example:"weather" doc:"The pack's ref."`
	Body *struct {
		Version string `json:"version,omitempty" maxLength:"128" pattern:"^[0-9A-Za-z.+-]*$" example:"1.2.0" doc:"A version that was uploaded before; without it, that of the newest installation."`
	}
}

func (s *server) packRoutes() {
	register(s, operation{
		id: "upload-pack", method: http.MethodPost, path: "/packs/upload", tag: "packs", status: http.StatusAccepted,
		summary: "Upload a pack and install it",
		description: "The form has one part named file: a .zip, .tar.gz or .tar.zst with pack.yaml at its root or inside " +
			"one top folder. The answer comes when the archive is checked and stored; a worker then builds the image. The " +
			fmt.Sprintf("archive has at most %d bytes; a larger one gets 413. While other uploads hold all the room on disk, "+
				"the answer is 503, with Retry-After.", s.Limits.ArchiveBytes),
		errors: []int{http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
			http.StatusTooManyRequests},
		response: envelope[uploaded]{Data: uploaded{Pack: examplePack, Installation: exampleInstallation}},
		ownTime:  true,
	}, s.uploadPack)
	s.describeUpload()
	register(s, operation{
		id: "list-packs", list: true, method: http.MethodGet, path: "/packs", tag: "packs", status: http.StatusOK,
		summary:  "List the packs",
		response: page[attune.Pack]{Data: []attune.Pack{examplePack}},
	}, s.listPacks)
	register(s, operation{
		id: "get-pack", method: http.MethodGet, path: "/packs/{ref}", tag: "packs", status: http.StatusOK,
		summary: "Show a pack", errors: []int{http.StatusNotFound},
		response: envelope[attune.Pack]{Data: examplePack},
	}, s.getPack)
	register(s, operation{
		id: "delete-pack", method: http.MethodDelete, path: "/packs/{ref}", tag: "packs", status: http.StatusNoContent,
		summary: "Uninstall a pack",
		description: "Executions of its actions that wait are cancelled, those that run go on to their end, and history " +
			"is kept.",
		errors: []int{http.StatusNotFound},
	}, s.deletePack)
	register(s, operation{
		id: "install-pack", method: http.MethodPost, path: "/packs/{ref}/install", tag: "packs", status: http.StatusAccepted,
		summary: "Install a pack again, or another version of it", errors: []int{http.StatusNotFound},
		request:  map[string]string{"version": "1.2.0"},
		response: envelope[uploaded]{Data: uploaded{Pack: examplePack, Installation: exampleInstallation}},
	}, s.installPack)
	register(s, operation{
		id: "get-installation-status", method: http.MethodGet, path: "/packs/{ref}/installation-status", tag: "packs",
		status: http.StatusOK, summary: "Show the newest installation of a pack", errors: []int{http.StatusNotFound},
		response: envelope[attune.Installation]{Data: exampleInstallation},
	}, s.getInstallation)
	register(s, operation{
		id: "get-installation-log", method: http.MethodGet, path: "/packs/{ref}/installation-log", tag: "packs",
		status: http.StatusOK, summary: "Read the log of the newest installation", errors: []int{http.StatusNotFound},
		response: envelope[attune.LogPage]{Data: exampleLogPage},
	}, s.getInstallationLog)
}

// describeUpload adds the form to the document, which must not be there when the route is registered: huma would take
// it as a body for itself to read.
func (s *server) describeUpload() {
	s.huma.OpenAPI().Paths[prefix+"/packs/upload"].Post.RequestBody = &huma.RequestBody{
		Required: true,
		Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"file"},
			Properties: map[string]*huma.Schema{
				"file": {Type: huma.TypeString, Format: "binary", Description: "The archive."},
			},
		}}},
	}
}

func (s *server) listPacks(ctx context.Context, _ *struct{}) (*listResponse[attune.Pack], error) {
	packs, err := s.DB.Packs.List(ctx, allowed(ctx))
	if err != nil {
		return nil, err
	}
	return respondList(packs, ""), nil
}

func (s *server) getPack(ctx context.Context, in *packInput) (*response[attune.Pack], error) {
	pack, err := s.pack(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return respond(pack), nil
}

func (s *server) deletePack(ctx context.Context, in *packInput) (*struct{}, error) {
	if _, err := s.pack(ctx, in.Ref); err != nil {
		return nil, err
	}
	if err := s.Queue.RemovePack(ctx, in.Ref); err != nil {
		return nil, err
	}
	s.wakeInstaller(ctx) // It removes images that are not needed any more.
	// The pack is gone already; an archive that stays only costs space.
	if err := s.Objects.RemoveArchives(ctx, in.Ref); err != nil {
		s.log.WarnContext(ctx, "archives of a removed pack stay", "request_id", callOf(ctx).id, "pack", in.Ref, "error", err)
	}
	return nil, nil
}

func (s *server) installPack(ctx context.Context, in *installInput) (*response[uploaded], error) {
	if _, err := s.pack(ctx, in.Ref); err != nil {
		return nil, err
	}
	var version string
	if in.Body != nil {
		version = in.Body.Version
	}
	manifest, sha, err := s.DB.Installations.Archive(ctx, in.Ref, version)
	if err != nil {
		return nil, err
	}
	return s.requestInstallation(ctx, manifest, sha)
}

func (s *server) getInstallation(ctx context.Context, in *packInput) (*response[attune.Installation], error) {
	installation, err := s.installation(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return respond(installation), nil
}

func (s *server) getInstallationLog(ctx context.Context, in *installationLogInput) (*response[attune.LogPage], error) {
	installation, err := s.installation(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	page, err := s.Logs.Page(ctx, logs.InstallationPrefix(installation.Pack, installation.ID), logs.InstallationStream,
		in.Offset, in.Limit, !installation.Status.Terminal())
	if err != nil {
		return nil, err
	}
	return respond(page), nil
}

// pack finds a pack that the caller's token reaches.
func (s *server) pack(ctx context.Context, ref string) (attune.Pack, error) {
	if !attune.ValidPackRef(ref) || !sees(ctx, ref) {
		return attune.Pack{}, notFound("pack", ref)
	}
	return s.DB.Packs.Get(ctx, ref)
}

func (s *server) installation(ctx context.Context, ref string) (attune.Installation, error) {
	if _, err := s.pack(ctx, ref); err != nil {
		return attune.Installation{}, err
	}
	return s.DB.Installations.Latest(ctx, ref)
}
