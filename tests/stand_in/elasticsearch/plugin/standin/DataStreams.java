package standin;

import java.util.List;

import org.elasticsearch.action.admin.cluster.state.ClusterStateRequest;
import org.elasticsearch.action.admin.cluster.state.ClusterStateResponse;
import org.elasticsearch.action.admin.indices.create.AutoCreateAction;
import org.elasticsearch.action.admin.indices.create.CreateIndexRequest;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.index.Index;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.rest.action.RestActionListener;
import org.elasticsearch.rest.action.RestToXContentListener;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * GET /_data_stream/NAME : the stream with its backing indices, from the cluster's state.
 * PUT /_data_stream/NAME : made by the server's own automatic creation, so by its index template.
 */
class DataStreams extends BaseRestHandler {
    @Override
    public String getName() { return "standin_data_streams"; }

    @Override
    public List<Route> routes() {
        return List.of(new Route(RestRequest.Method.GET, "/_data_stream/{name}"), new Route(RestRequest.Method.PUT, "/_data_stream/{name}"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        String name = request.param("name");
        if (request.method() == RestRequest.Method.PUT) {
            CreateIndexRequest create = new CreateIndexRequest(name);
            return channel -> client.execute(AutoCreateAction.INSTANCE, create, new RestToXContentListener<>(channel));
        }
        ClusterStateRequest state = new ClusterStateRequest(TimeValue.timeValueSeconds(30)).clear().metadata(true);
        return channel -> client.admin().cluster().state(state, new RestActionListener<ClusterStateResponse>(channel) {
            @Override
            protected void processResponse(ClusterStateResponse response) throws Exception {
                DataStream stream = response.getState().metadata().getProject().dataStreams().get(name);
                XContentBuilder body = channel.newBuilder().startObject();
                if (stream == null) {
                    body.field("error", "no such index [" + name + "]").field("status", 404).endObject();
                    channel.sendResponse(new RestResponse(RestStatus.NOT_FOUND, body));
                    return;
                }
                body.startArray("data_streams").startObject().field("name", name).field("generation", stream.getGeneration());
                body.startArray("indices");
                for (Index index : stream.getIndices()) {
                    body.startObject().field("index_name", index.getName()).endObject();
                }
                body.endArray().endObject().endArray().endObject();
                channel.sendResponse(new RestResponse(RestStatus.OK, body));
            }
        });
    }
}
