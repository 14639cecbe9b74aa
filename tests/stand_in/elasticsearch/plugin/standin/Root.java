package standin;

import java.util.List;

import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;

/** GET / : name and version. */
class Root extends BaseRestHandler {
    @Override
    public String getName() { return "standin_root"; }

    @Override
    public List<Route> routes() {
        return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        return channel -> channel.sendResponse(new RestResponse(RestStatus.OK, channel.newBuilder().startObject()
            .field("name", client.getLocalNodeId())
            .startObject("version").field("number", Build.current().version()).field("build_flavor", "default").endObject()
            .field("tagline", "You Know, for Search").endObject()));
    }
}
