package storage

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Secrets keeps values that are sealed before they reach SQL and opened only for the sandbox that needs them.
type Secrets struct {
	pool, lists *pgxpool.Pool
	sealer      *Sealer
}

// SecretFilter narrows a listing; its zero value is everything.
type SecretFilter struct {
	// Pack selects the secrets of the pack and of its actions.
	Pack string
	// Action selects the secrets of one action.
	Action string
	// Allowed, where not empty, limits the listing to these packs; global secrets stay in it, since every pack reads them.
	Allowed []string
}

// Set stores a value in a scope and replaces an earlier one. The pack or action need not be installed yet.
func (s *Secrets) Set(ctx context.Context, name string, scope attune.Scope, value []byte) error {
	if err := checkSecret(name, scope, value); err != nil {
		return err
	}
	sealed, err := s.sealer.Seal(value, secretLabel(name, scope))
	if err != nil {
		return err
	}
	_, err = s.pool.Exec(ctx, `insert into secrets (name, pack, action, sealed) values ($1, $2, $3, $4)
		on conflict (name, pack, action) do update set sealed = $4, updated_at = now()`,
		name, scope.Pack, scope.Action, sealed)
	return Translate("set secret", err)
}

// List returns everything but values, by name.
func (s *Secrets) List(ctx context.Context, f SecretFilter) ([]attune.Secret, error) {
	return list(ctx, s.lists, "list secrets", scanSecret, `select name, pack, action, created_at, updated_at from secrets
		where ($1 = '' or $1 in (pack, split_part(action, '.', 1))) and ($2 = '' or action = $2)
		and (cardinality($3::text[]) = 0 or pack || split_part(action, '.', 1) = any($3 || array['']))
		order by name, pack, action`, f.Pack, f.Action, array(f.Allowed))
}

// Delete removes a secret from its scope.
func (s *Secrets) Delete(ctx context.Context, name string, scope attune.Scope) error {
	err := change(ctx, s.pool, `delete from secrets where name = $1 and pack = $2 and action = $3`,
		name, scope.Pack, scope.Action)
	return Translate("delete secret", err,
		attune.Errorf(attune.CodeNotFound, "there is no secret %q in %s", name, scopeText(scope)))
}

// Resolve opens the named secrets for an action: its own value first, then its pack's, then the global one. missing are
// the names without a value, in the order given.
func (s *Secrets) Resolve(
	ctx context.Context, actionRef string, names []string,
) (values map[string]string, missing []string, err error) {
	found, missing, err := s.find(ctx, actionRef, names)
	if err != nil {
		return nil, nil, err
	}
	values = make(map[string]string, len(found))
	for _, f := range found {
		value, err := s.sealer.Open(f.sealed, secretLabel(f.name, f.scope))
		if err != nil {
			return nil, nil, err
		}
		values[f.name] = string(value)
	}
	return values, missing, nil
}

// Missing returns the names without a value for an action, without opening any.
func (s *Secrets) Missing(ctx context.Context, actionRef string, names []string) ([]string, error) {
	_, missing, err := s.find(ctx, actionRef, names)
	return missing, err
}

type sealedSecret struct {
	name   string
	scope  attune.Scope
	sealed []byte
}

// find returns the most specific secret of each name.
func (s *Secrets) find(
	ctx context.Context, actionRef string, names []string,
) (found []sealedSecret, missing []string, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	pack, _, _ := attune.SplitActionRef(actionRef)
	found, err = list(ctx, s.pool, "resolve secrets", scanSealed, `select distinct on (name) name, pack, action, sealed
		from secrets where name = any($1::text[]) and (pack, action) in (($2, ''), ('', $3), ('', ''))
		order by name, action desc, pack desc`, names, pack, actionRef)
	if err != nil {
		return nil, nil, err
	}
	set := make(map[string]bool, len(found))
	for _, f := range found {
		set[f.name] = true
	}
	for _, name := range names {
		if !set[name] {
			missing = append(missing, name)
		}
	}
	return found, missing, nil
}

func checkSecret(name string, scope attune.Scope, value []byte) error {
	var problems []attune.Problem
	add := func(field, message string) {
		problems = append(problems, attune.Problem{Field: field, Message: message})
	}
	if !attune.ValidSecretName(name) {
		add("name", "must be letters, digits and underscores, not begin with a digit, and have at most 128 characters")
	}
	if scope.Pack != "" && scope.Action != "" {
		add("action", "give a pack or an action, not both")
	}
	if scope.Pack != "" && !attune.ValidPackRef(scope.Pack) {
		add("pack", "is not a pack's ref")
	}
	if _, _, ok := attune.SplitActionRef(scope.Action); scope.Action != "" && !ok {
		add("action", "must be <pack>.<name>")
	}
	if len(value) > attune.MaxSecretBytes {
		add("value", fmt.Sprintf("must have at most %d bytes", attune.MaxSecretBytes))
	}
	// The value travels in a JSON document, which would change other bytes silently.
	if !utf8.Valid(value) {
		add("value", "must be UTF-8 text; encode binary values, for example as base64")
	}
	if len(problems) > 0 {
		return attune.Invalid("the secret cannot be stored", problems...)
	}
	return nil
}

// secretLabel binds a sealed value to its row: moved to another one, it does not open.
func secretLabel(name string, scope attune.Scope) string {
	return "secret/" + scope.Pack + "/" + scope.Action + "/" + name
}

func scopeText(s attune.Scope) string {
	switch {
	case s.Action != "":
		return fmt.Sprintf("action %q", s.Action)
	case s.Pack != "":
		return fmt.Sprintf("pack %q", s.Pack)
	default:
		return "the global scope"
	}
}

func scanSecret(row pgx.Row) (s attune.Secret, err error) {
	err = row.Scan(&s.Name, &s.Pack, &s.Action, &s.CreatedAt, &s.UpdatedAt)
	return s, err
}

func scanSealed(row pgx.Row) (s sealedSecret, err error) {
	err = row.Scan(&s.name, &s.scope.Pack, &s.scope.Action, &s.sealed)
	return s, err
}
