package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// model is what one SDK module says.
type model struct {
	source
	sdkVersion   string
	version      string
	targetPrefix string
	operations   []operation
	required     map[string][]string // Go type -> Go fields, nested structures
	names        map[string]string   // "Type.Field" -> wire name
}

type operation struct {
	name, method, path string
	query              []string
	required           []string // Go fields
	// emptyResult: the output is a structure without members, which in Query still has its element.
	emptyResult bool
}

// extract reads the module's generated code: api_client.go (version, target), api_op_*.go (operations), serializers.go,
// deserializers.go or schemas (names and routes) and validators.go (required members).
func extract(src source, dir string) (model, error) {
	m := model{source: src, required: map[string][]string{}, names: map[string]string{}}
	files, err := parse(dir)
	if err != nil {
		return m, err
	}
	schemas := schemaNames(files)
	required := map[string][]string{}
	ops := map[string]*operation{}
	for _, f := range files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.GenDecl:
				m.constants(d)
			case *ast.FuncDecl:
				m.targetOf(d)
				if isOperation(d) {
					ops[d.Name.Name] = &operation{name: d.Name.Name}
				}
				if t, fields := requiredOf(d); t != "" {
					required[t] = fields
				}
				m.namesOf(d, schemas)
			}
		}
	}
	for _, f := range files {
		for _, decl := range f.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok {
				if err := routeOf(d, ops); err != nil {
					return m, err
				}
				resultOf(d, ops)
			}
		}
	}
	for t, fields := range required {
		if op := ops[strings.TrimSuffix(t, "Input")]; op != nil && strings.HasSuffix(t, "Input") {
			op.required = fields
		} else {
			m.required[t] = fields
		}
	}
	for _, op := range ops {
		if src.protocol == "RestJSON1" && (op.method == "" || op.path == "") {
			return m, fmt.Errorf("no route found for %s", op.name)
		}
		m.operations = append(m.operations, *op)
	}
	slices.SortFunc(m.operations, func(a, b operation) int { return strings.Compare(a.name, b.name) })
	switch {
	case m.version == "":
		return m, errors.New("no ServiceAPIVersion found")
	case src.protocol == "AWSJSON11" && m.targetPrefix == "":
		return m, errors.New("no awsJson target found")
	case len(m.operations) == 0 || len(m.required) == 0:
		return m, errors.New("no operations or no required members found: the SDK's code has changed its shape")
	}
	return m, nil
}

func parse(dir string) ([]*ast.File, error) {
	var files []*ast.File
	fset := token.NewFileSet()
	for _, sub := range []string{".", "types", "schemas"} {
		names, err := filepath.Glob(filepath.Join(dir, sub, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	return files, nil
}

func (m *model) constants(d *ast.GenDecl) {
	for _, s := range d.Specs {
		if v, ok := s.(*ast.ValueSpec); ok && d.Tok == token.CONST && v.Names[0].Name == "ServiceAPIVersion" {
			m.version = text(v.Values[0])
		}
	}
}

// targetOf finds awsjson.New11(schemas.Logs_20140328), whose argument is named for the target prefix.
func (m *model) targetOf(d *ast.FuncDecl) {
	each(d.Body, func(c *ast.CallExpr) {
		if pkg, name := selector(c.Fun); pkg == "awsjson" && name == "New11" {
			_, m.targetPrefix = selector(c.Args[0])
		}
	})
}

// isOperation says whether d is func (c *Client) X(ctx context.Context, params *XInput, ...) (*XOutput, error).
func isOperation(d *ast.FuncDecl) bool {
	if receiver(d) != "Client" || d.Type.Params.NumFields() != 3 {
		return false
	}
	return typeName(d.Type.Params.List[1].Type) == d.Name.Name+"Input"
}

// requiredOf reads a validator: func validateX(v *types.X) error with "if v.F == nil" or "if len(v.F) == 0" around
// NewErrParamRequired("F").
func requiredOf(d *ast.FuncDecl) (goType string, fields []string) {
	if !strings.HasPrefix(d.Name.Name, "validate") || d.Recv != nil || d.Type.Params.NumFields() != 1 {
		return "", nil
	}
	star, ok := d.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return "", nil
	}
	each(d.Body, func(c *ast.CallExpr) {
		if _, name := selector(c.Fun); name == "NewErrParamRequired" {
			fields = append(fields, text(c.Args[0]))
		}
	})
	if len(fields) == 0 {
		return "", nil
	}
	return typeName(star), fields
}

// routeOf reads the restJson1 serializer of an operation, and the bindings of its query parameters.
func routeOf(d *ast.FuncDecl, ops map[string]*operation) error {
	const serializer = "awsRestjson1_serializeOp"
	if name, ok := strings.CutPrefix(receiver(d), serializer); ok && d.Name.Name == "HandleSerialize" {
		op := ops[name]
		if op == nil {
			return fmt.Errorf("serializer of %s, which is no operation", name)
		}
		ast.Inspect(d.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if _, fn := selector(n.Fun); fn == "SplitURI" {
					op.path = text(n.Args[0])
				}
			case *ast.AssignStmt:
				if _, field := selector(n.Lhs[0]); field == "Method" {
					op.method = text(n.Rhs[0])
				}
			}
			return true
		})
	}
	name, ok := strings.CutPrefix(d.Name.Name, "awsRestjson1_serializeOpHttpBindings")
	if !ok {
		return nil
	}
	op := ops[strings.TrimSuffix(name, "Input")]
	if op == nil {
		return fmt.Errorf("bindings of %s, which is no operation", name)
	}
	var err error
	each(d.Body, func(c *ast.CallExpr) {
		switch _, fn := selector(c.Fun); fn {
		case "SetURI":
			if member := text(c.Args[0]); !strings.Contains(op.path, "{"+member+"}") {
				err = fmt.Errorf("%s binds %s to a path that lacks it: %s", op.name, member, op.path)
			}
		case "SetQuery", "AddQuery":
			op.query = append(op.query, text(c.Args[0]))
		case "SetHeader", "AddHeader", "Headers":
			err = fmt.Errorf("%s binds a header, which awswire does not know", op.name)
		}
	})
	return err
}

// resultOf finds the deserializers of Query outputs that are structures without members. An operation without any output
// has no such function.
func resultOf(d *ast.FuncDecl, ops map[string]*operation) {
	name, ok := strings.CutPrefix(d.Name.Name, "awsAwsquery_deserializeOpDocument")
	if op := ops[strings.TrimSuffix(name, "Output")]; ok && op != nil {
		op.emptyResult = true
		each(d.Body, func(c *ast.CallExpr) {
			if _, fn := selector(c.Fun); fn == "EqualFold" {
				op.emptyResult = false
			}
		})
	}
}

// receiver is the name of a method's receiver type, without package and star.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	return typeName(d.Recv.List[0].Type)
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// selector splits x.name; x is "" if it is no plain identifier.
func selector(e ast.Expr) (x, name string) {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	if id, ok := s.X.(*ast.Ident); ok {
		x = id.Name
	}
	return x, s.Sel.Name
}

// text is the value of a string literal, "" of anything else.
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

// each visits every call below n.
func each(n ast.Node, visit func(*ast.CallExpr)) {
	if n == nil || n == ast.Node((*ast.BlockStmt)(nil)) {
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			visit(c)
		}
		return true
	})
}
