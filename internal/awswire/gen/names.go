package main

import (
	"go/ast"
	"strings"
)

// schemaNames maps the identifiers of the schemas package to wire names:
//
//	Tag_Key = Tag.AddMember("Key", _TagKey)
func schemaNames(files []*ast.File) map[string]string {
	names := map[string]string{}
	for _, f := range files {
		if f.Name.Name != "schemas" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok {
				return true
			}
			if c, ok := a.Rhs[0].(*ast.CallExpr); ok {
				if _, fn := selector(c.Fun); fn == "AddMember" {
					if id, ok := a.Lhs[0].(*ast.Ident); ok {
						names[id.Name] = text(c.Args[0])
					}
				}
			}
			return true
		})
	}
	return names
}

// namesOf finds the members whose wire name is not the rule's, in the four forms the SDK's code has:
//
//	func ..serializeDocumentX(v *types.X, ..)     { if v.F != nil { ok := object.Key("f") .. } }
//	func ..deserializeDocumentX(v **types.X, ..)  { switch .. { case "f": .. sv.F = .. } }
//	func (v *X) SerializeMembers(..)              { if v.F != nil { ..schemas.X_f.. } }
//	func (v *X) Deserialize(..)                   { switch s { case schemas.X_f: .. v.F .. } }
func (m *model) namesOf(d *ast.FuncDecl, schemas map[string]string) {
	if d.Body == nil {
		return
	}
	owner, value := "", ""
	switch {
	case d.Recv != nil && (d.Name.Name == "SerializeMembers" || d.Name.Name == "Deserialize"):
		owner, value = receiver(d), "v"
	case d.Recv == nil && d.Type.Params.NumFields() > 0 && strings.Contains(d.Name.Name, "_serialize") && strings.Contains(d.Name.Name, "Document"):
		owner, value = typeName(d.Type.Params.List[0].Type), "v"
	case d.Recv == nil && d.Type.Params.NumFields() > 0 && strings.Contains(d.Name.Name, "_deserialize") && strings.Contains(d.Name.Name, "Document"):
		owner, value = typeName(d.Type.Params.List[0].Type), "sv"
	}
	if owner == "" {
		return
	}
	ast.Inspect(d.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			if value == "v" {
				m.note(owner, firstField(n, value), firstName(n, schemas))
				return false
			}
		case *ast.ExprStmt:
			if value == "v" {
				m.note(owner, firstField(n, value), firstName(n, schemas))
			}
		case *ast.CaseClause:
			m.note(owner, firstField(n, value), firstName(n, schemas))
			return false
		}
		return true
	})
}

// note remembers a name that is not the rule's.
func (m *model) note(owner, field, wire string) {
	if field == "" || wire == "" || wire == m.rule(field) {
		return
	}
	m.names[owner+"."+field] = wire
}

// rule is the wire name of a Go field where nothing is odd.
func (m *model) rule(field string) string {
	if m.protocol == "Query" {
		return field
	}
	return strings.ToLower(field[:1]) + field[1:]
}

// wire is the wire name of a field.
func (m *model) wire(owner, field string) string {
	if n := m.names[owner+"."+field]; n != "" {
		return n
	}
	return m.rule(field)
}

// firstField is the first field of the value that is mentioned below n.
func firstField(n ast.Node, value string) (field string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && field == "" {
			if x, name := selector(s); x == value && ast.IsExported(name) {
				field = name
			}
		}
		return field == ""
	})
	return field
}

// firstName is the first wire name that is mentioned below n.
func firstName(n ast.Node, schemas map[string]string) (wire string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if wire != "" {
			return false
		}
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, name := selector(n); x == "schemas" {
				wire = schemas[name]
			}
		case *ast.CallExpr:
			if _, fn := selector(n.Fun); fn == "Key" || fn == "EqualFold" {
				wire = text(n.Args[0])
			}
		case *ast.CaseClause:
			if len(n.List) > 0 {
				wire = text(n.List[0])
			}
		}
		return wire == ""
	})
	return wire
}
