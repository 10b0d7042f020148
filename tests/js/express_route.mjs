// The source document's `POST /api/mint/single`, to measure the gateway against: its app, its key check, its route and
// its queue, with what they need around them. Express, cors, multer and uuid are those of its package.json.
//
//   API_KEY=<key> node express_route.mjs PORTS_FILE
//
// Kept from the document: the code of the route, of authMiddleware, of validateMintRequest and of addMintTask. Changed,
// because it would refuse every request as it stands: `metadata` is parsed before it is validated. Left out: the rate
// limit, and logging. Stand-ins: Supabase and the work behind the queue, which answer at once, so that it is shown at its
// best. It acknowledges what lies in its memory alone.
import { writeFileSync } from 'node:fs';
import { EventEmitter } from 'node:events';
import cors from 'cors';
import express from 'express';
import multer from 'multer';
import { v4 as uuidv4 } from 'uuid';

const [portsFile] = process.argv.slice(2);

const isValidSolanaAddress = (text) => /^[1-9A-HJ-NP-Za-km-z]{32,44}$/.test(text ?? '');
const isValidUUID = (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text ?? '');

const validateMintRequest = (data) => {
  const errors = [];
  if (!isValidSolanaAddress(data.recipient)) errors.push('Invalid recipient address');
  if (!data.metadata?.name || data.metadata.name.length > 200) errors.push('Invalid NFT name');
  if (!isValidUUID(data.collectionId)) errors.push('Invalid collection ID');
  return errors;
};

const db = {
  operations: new Map(),
  async getCollection(id) {
    return { id, allow_minting: true };
  },
  async createMintOperation(data) {
    this.operations.set(data.transactionId, { ...data, status: 'pending' });
  },
};

class MintQueue extends EventEmitter {
  constructor() {
    super();
    this.queue = [];
    this.isProcessing = false;
  }

  async addMintTask(task) {
    const transactionId = uuidv4();
    const queueItem = {
      transactionId,
      type: task.type,
      data: task.data,
      priority: task.priority || 0,
      retries: 0,
      maxRetries: 3,
      createdAt: new Date(),
      status: 'queued',
    };
    this.queue.push(queueItem);
    this.emit('taskAdded', queueItem);
    if (!this.isProcessing) this.processQueue();
    return transactionId;
  }

  async processQueue() {
    if (this.isProcessing || this.queue.length === 0) return;
    this.isProcessing = true;
    while (this.queue.length > 0) {
      const task = this.queue.shift();
      task.status = 'completed';
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    this.isProcessing = false;
  }
}

const authMiddleware = (req, res, next) => {
  if (req.headers['x-api-key'] === process.env.API_KEY) return next();
  return res.status(401).json({ success: false, error: 'Unauthorized' });
};

const queue = new MintQueue();
const upload = multer({ limits: { fileSize: 10 * 1024 * 1024 } });
const router = express.Router();

router.post('/single', upload.single('image'), async (req, res) => {
  try {
    const { collectionId, recipient, copies = 1 } = req.body;
    const metadata = typeof req.body.metadata === 'string' ? JSON.parse(req.body.metadata) : req.body.metadata;
    const validationErrors = validateMintRequest({ collectionId, recipient, metadata });
    if (validationErrors.length > 0) {
      return res.status(400).json({ success: false, error: 'Validation failed', details: validationErrors });
    }
    const collection = await db.getCollection(collectionId);
    if (!collection || !collection.allow_minting) {
      return res.status(404).json({ success: false, error: 'Collection not found or minting disabled' });
    }
    const taskData = {
      collectionId,
      collection,
      recipient,
      metadata,
      copies: parseInt(copies),
      imageFile: req.file,
    };
    const transactionId = await queue.addMintTask({ type: 'single', data: taskData, priority: 1 });
    await db.createMintOperation({
      transactionId,
      collectionId,
      recipient,
      operationType: 'mint',
      totalNfts: copies,
      metadata: taskData.metadata,
    });
    res.json({
      success: true,
      data: { transactionId, estimatedTime: copies * 3, status: 'queued' },
      message: 'Mint operation queued successfully',
    });
  } catch (error) {
    res.status(500).json({ success: false, error: error.message });
  }
});

const app = express();
app.set('trust proxy', 1);
app.use(cors({ origin: ['https://your-frontend.vercel.app'], credentials: true }));
app.use(express.json({ limit: '50mb' }));
app.use(express.urlencoded({ extended: true, limit: '50mb' }));
app.use('/api/mint', authMiddleware, router);
app.use('*', (req, res) => res.status(404).json({ success: false, error: 'Endpoint not found' }));

const server = app.listen(0, '127.0.0.1', () => {
  writeFileSync(portsFile, JSON.stringify({ pid: process.pid, api: `http://127.0.0.1:${server.address().port}` }));
});
process.on('SIGTERM', () => process.exit(0));
