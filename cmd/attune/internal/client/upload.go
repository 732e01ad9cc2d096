package client

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
)

// Upload posts a file as multipart form data without holding it in memory. write produces the file's content; its error
// is the one that comes back when it fails, because the service then only saw a body that broke off.
func (c *Client) Upload(ctx context.Context, path, filename string, write func(io.Writer) error) (Answer, error) {
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	written := make(chan error, 1)
	go func() {
		err := writeForm(form, filename, write)
		_ = writer.CloseWithError(err) // Never fails.
		written <- err
	}()
	header := http.Header{"Content-Type": {form.FormDataContentType()}}
	answer, err := c.send(ctx, http.MethodPost, path, nil, reader, header)
	// The service may answer before it has read everything; this ends the writer in that case.
	_ = reader.CloseWithError(io.ErrClosedPipe)
	if writeErr := <-written; writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) {
		return Answer{}, writeErr
	}
	return answer, err
}

func writeForm(form *multipart.Writer, filename string, write func(io.Writer) error) error {
	part, err := form.CreateFormFile("file", filename)
	if err != nil {
		return err
	}
	if err := write(part); err != nil {
		return err
	}
	return form.Close()
}
