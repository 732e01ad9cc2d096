package history

import (
	"fmt"
	"slices"
	"strings"
)

// Parse reads the output of PostgreSQL's plugin test_decoding, where the tables that Check knows have REPLICA IDENTITY
// FULL. Changes of a partition count as changes of its table; other tables are left out.
func Parse(lines []string) ([]Transaction, error) {
	var all []Transaction
	open := false
	for i, line := range lines {
		verb, rest, _ := strings.Cut(line, " ")
		var err error
		switch {
		case verb == "BEGIN" && !open:
			all, open = append(all, Transaction{XID: rest}), true
		case verb == "COMMIT" && open:
			open = false
		case verb == "table" && open:
			var c Change
			if c, err = parseChange(rest); c.Op != "" {
				last := &all[len(all)-1]
				last.Changes = append(last.Changes, c)
			}
		default:
			err = fmt.Errorf("does not belong here")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d, %.80q: %w", i+1, line, err)
		}
	}
	if open {
		return nil, fmt.Errorf("the last transaction has no end")
	}
	return all, nil
}

// parseChange reads `schema.table: OP: columns`; of a table that is left out it returns the zero Change.
func parseChange(text string) (Change, error) {
	name, rest, found := strings.Cut(text, ": ")
	if !found {
		return Change{}, fmt.Errorf("has no table")
	}
	_, table, _ := strings.Cut(name, ".")
	if table = parentTable(table); !slices.Contains(tables, table) {
		return Change{}, nil
	}
	op, columns, found := strings.Cut(rest, ": ")
	if !found {
		return Change{}, fmt.Errorf("has no operation")
	}
	c := Change{Table: table, Op: Op(op)}
	var err error
	switch c.Op {
	case Insert:
		c.New, err = parseRow(columns)
	case Delete:
		c.Old, err = parseRow(columns)
	case Update:
		columns, found = strings.CutPrefix(columns, "old-key: ")
		if !found {
			return c, fmt.Errorf("lacks the old row: its table needs REPLICA IDENTITY FULL")
		}
		if c.Old, columns, err = parseColumns(columns); err == nil {
			columns, _ = strings.CutPrefix(columns, "new-tuple: ")
			c.New, err = parseRow(columns)
		}
		keepUnchanged(c)
	default:
		err = fmt.Errorf("has an unknown operation %q", op)
	}
	return c, err
}

// parentTable returns the table that a partition belongs to.
func parentTable(table string) string {
	if strings.HasPrefix(table, "finished_") {
		return "finished"
	}
	return table
}

// unchanged stands for a large value that an update left as it was.
const unchanged = "unchanged-toast-datum"

func keepUnchanged(c Change) {
	for name, value := range c.New {
		if value == unchanged {
			c.New[name] = c.Old[name]
		}
	}
}

func parseRow(text string) (Row, error) {
	row, rest, err := parseColumns(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("ends with %.40q", rest)
	}
	return row, err
}

// parseColumns reads a list of `name[type]:value` and returns the text that follows it.
func parseColumns(text string) (Row, string, error) {
	row := make(Row)
	for text != "" && !strings.HasPrefix(text, "new-tuple: ") {
		name, rest, found := strings.Cut(text, "[")
		if !found {
			return nil, "", fmt.Errorf("has no column at %.40q", text)
		}
		// The type of an array has brackets of its own.
		_, rest, found = strings.Cut(rest, "]:")
		if !found {
			return nil, "", fmt.Errorf("has no type at %.40q", text)
		}
		value, null, after, err := parseValue(rest)
		if err != nil {
			return nil, "", err
		}
		if !null {
			row[strings.Trim(name, `"`)] = value
		}
		text = after
	}
	return row, text, nil
}

// parseValue reads 'text with ” for a quote', or a word up to the next space.
func parseValue(text string) (value string, null bool, rest string, err error) {
	if !strings.HasPrefix(text, "'") {
		value, rest, _ = strings.Cut(text, " ")
		return value, value == "null", rest, nil
	}
	var b strings.Builder
	for text = text[1:]; ; {
		part, after, found := strings.Cut(text, "'")
		if !found {
			return "", false, "", fmt.Errorf("has a value without an end")
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, "'") {
			return b.String(), false, strings.TrimPrefix(after, " "), nil
		}
		b.WriteByte('\'')
		text = after[1:]
	}
}
