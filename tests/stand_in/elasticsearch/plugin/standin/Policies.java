package standin;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicy;

/** PUT and GET /_ilm/policy/NAME : parsed and validated by Elastic's own class, remembered, never carried out. */
class Policies extends BaseRestHandler {
    private static final Map<String, LifecyclePolicy> POLICIES = new ConcurrentHashMap<>();
    private static final Map<String, Integer> VERSIONS = new ConcurrentHashMap<>();

    @Override
    public String getName() { return "standin_ilm"; }

    @Override
    public List<Route> routes() {
        return List.of(new Route(RestRequest.Method.PUT, "/_ilm/policy/{name}"), new Route(RestRequest.Method.GET, "/_ilm/policy/{name}"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) throws IOException {
        String name = request.param("name");
        if (request.method() == RestRequest.Method.PUT) {
            try (XContentParser parser = request.contentParser()) {
                parser.nextToken();
                parser.nextToken();
                LifecyclePolicy policy = LifecyclePolicy.parse(parser, name);
                policy.validate();
                POLICIES.put(name, policy);
                VERSIONS.merge(name, 1, Integer::sum);
            }
            return channel -> channel.sendResponse(new RestResponse(RestStatus.OK, "application/json", "{\"acknowledged\":true}"));
        }
        LifecyclePolicy policy = POLICIES.get(name);
        if (policy == null) {
            return channel -> channel.sendResponse(new RestResponse(RestStatus.NOT_FOUND, "application/json",
                "{\"error\":\"Lifecycle policy not found: " + name + "\",\"status\":404}"));
        }
        return channel -> channel.sendResponse(new RestResponse(RestStatus.OK, channel.newBuilder().startObject().startObject(name)
            .field("version", VERSIONS.get(name)).field("policy", policy).endObject().endObject()));
    }
}
