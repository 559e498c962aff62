import SSEDecode
import StreamTool

command.run(DecodeOptions(), decode)
