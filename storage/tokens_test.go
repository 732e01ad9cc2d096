package storage_test

import (
	"strings"
	"testing"
	"time"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

func token(t *testing.T, db *storage.DB, role attune.Role, packs []string) (string, attune.Token) {
	t.Helper()
	secret, made, err := db.Tokens.Create(t.Context(), "ci", role, packs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return secret, made
}

func TestTokenAuthenticates(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ctx := t.Context()
	secret, made := token(t, db, attune.RoleOperator, []string{"weather"})
	got, err := db.Tokens.Authenticate(ctx, secret)
	if err != nil || got.ID != made.ID || got.Role != attune.RoleOperator || got.Packs[0] != "weather" {
		t.Fatalf("authenticated %+v, %v", got, err)
	}
	all, err := db.Tokens.List(ctx)
	if err != nil || len(all) != 1 || all[0].LastUsedAt == nil {
		t.Fatalf("tokens are %+v, %v", all, err)
	}
	used := *all[0].LastUsedAt
	if _, err := db.Tokens.Authenticate(ctx, secret); err != nil {
		t.Fatal(err)
	}
	if all, err = db.Tokens.List(ctx); err != nil || !all[0].LastUsedAt.Equal(used) {
		t.Errorf("within a minute, the use was written again: %v", err)
	}
	other, _ := token(t, db, attune.RoleAdmin, nil)
	mixed := secret[:len("att_")+12] + other[len("att_")+12:] // one's prefix, the other's bits
	for _, bad := range []string{
		"", "att_", "att__", secret + "x", secret[:len(secret)-1], mixed, "att_\x00_x", strings.ToUpper(secret),
	} {
		_, err := db.Tokens.Authenticate(ctx, bad)
		code(t, err, attune.CodeUnauthenticated)
	}
	if err := db.Tokens.Delete(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = db.Tokens.Authenticate(ctx, secret)
	code(t, err, attune.CodeUnauthenticated)
	code(t, db.Tokens.Delete(ctx, made.ID), attune.CodeNotFound)
	code(t, db.Tokens.Delete(ctx, "x"), attune.CodeNotFound)
}

func TestTokenIsKeptAsAHash(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	secret, _ := token(t, db, attune.RoleAdmin, nil)
	var row string
	if err := db.Pool().QueryRow(t.Context(), `select t::text from tokens t`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	if bits := secret[strings.LastIndex(secret, "_")+1:]; strings.Contains(row, bits) {
		t.Error("the token is in the database")
	}
}

func TestExpiredToken(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	soon := time.Now().Add(time.Hour)
	secret, made, err := db.Tokens.Create(t.Context(), "ci", attune.RoleViewer, nil, &soon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Tokens.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool().Exec(t.Context(), `update tokens set expires_at = now() where id = $1`, made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = db.Tokens.Authenticate(t.Context(), secret)
	code(t, err, attune.CodeUnauthenticated)

	past := time.Now().Add(-time.Second)
	_, _, err = db.Tokens.Create(t.Context(), "", "king", []string{"Bad"}, &past)
	code(t, err, attune.CodeInvalid)
	for _, field := range []string{"name", "role", "packs", "expires_at"} {
		if !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
}

func TestEnsureAdminReplacesOnlyWhatIsNoGood(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	first, _ := token(t, db, attune.RoleAdmin, nil)
	kept, err := db.Tokens.EnsureAdmin(t.Context(), first)
	if err != nil || kept != first {
		t.Errorf("a good token was replaced, %v", err)
	}
	viewer, _ := token(t, db, attune.RoleViewer, nil)
	for _, useless := range []string{"", viewer, "att_000000000000_x"} {
		made, err := db.Tokens.EnsureAdmin(t.Context(), useless)
		if err != nil || made == useless {
			t.Fatalf("no token for %q: %v", useless, err)
		}
		if got, err := db.Tokens.Authenticate(t.Context(), made); err != nil || got.Role != attune.RoleAdmin {
			t.Errorf("the new token is %+v, %v", got, err)
		}
	}
}
