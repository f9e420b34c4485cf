// An application whose HTTP side is grpc-gateway's, as those of OpenFGA, ZITADEL and etcd are: each
// request becomes a call of its own gRPC server, which answers with what it was told of the caller.
//
//	grpc-gateway-app ADDRESS
//
// The answer is {"metadata": {name: [values]}, "headers": {name: [values]}}: what the gRPC handler sees,
// and what came over HTTP. The service is registered by hand in the shape that protoc generates.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const seenMethod = "/echo.Echo/Seen"

var echo = grpc.ServiceDesc{
	ServiceName: "echo.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Seen", Handler: seen}},
}

// What the handler of a gRPC service knows of its caller.
func seen(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if err := decode(new(emptypb.Empty)); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return lists(md)
}

func lists(values map[string][]string) (*structpb.Struct, error) {
	fields := make(map[string]any, len(values))
	for name, texts := range values {
		list := make([]any, len(texts))
		for i, text := range texts {
			list[i] = strings.ToValidUTF8(text, "?")
		}
		fields[name] = list
	}
	return structpb.NewStruct(fields)
}

// The usual way to let a service read headers of the proxy in front of it.
func matcher(name string) (string, bool) {
	switch name {
	case "X-User-Id", "X-Request-Id", "X-Real-Ip", "True-Client-Ip":
		return strings.ToLower(name), true
	}
	return runtime.DefaultHeaderMatcher(name)
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: grpc-gateway-app ADDRESS")
	}
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func serve(address string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	server.RegisterService(&echo, nil)
	go func() { log.Fatal(server.Serve(listener)) }()

	insecurely := grpc.WithTransportCredentials(insecure.NewCredentials())
	conn, err := grpc.NewClient(listener.Addr().String(), insecurely)
	if err != nil {
		return err
	}
	mux := runtime.NewServeMux(runtime.WithIncomingHeaderMatcher(matcher))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if err := mux.HandlePath(method, "/{path=**}", handler(mux, conn)); err != nil {
			return err
		}
	}
	return http.ListenAndServe(address, mux)
}

// As generated code calls its service.
func handler(mux *runtime.ServeMux, conn *grpc.ClientConn) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		_, outbound := runtime.MarshalerForRequest(mux, r)
		ctx, err := runtime.AnnotateContext(r.Context(), mux, r, seenMethod)
		if err != nil {
			runtime.HTTPError(r.Context(), mux, outbound, w, r, err)
			return
		}
		told := new(structpb.Struct)
		if err := conn.Invoke(ctx, seenMethod, new(emptypb.Empty), told); err != nil {
			runtime.HTTPError(ctx, mux, outbound, w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{"metadata": told.AsMap(), "headers": r.Header}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			log.Print(err)
		}
	}
}
